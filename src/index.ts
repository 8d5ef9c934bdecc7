export type { Address } from "./codecs/address.ts";
export type { Codec, Decoded } from "./codecs/codec.ts";
export type { HeaderEditor, HeaderView } from "./codecs/http/headers.ts";
export type { HttpResponse } from "./codecs/http/response-editor.ts";
export type { ClientHello } from "./codecs/tls/client-hello.ts";
export { type EndCause, type ErrorCode, GatewayError, type Refusal, type Side } from "./errors.ts";
export {
  defineGateway,
  type GatewayConfig,
  type GatewayPhases,
  type LogConfig,
  type PrereadConfig,
  type ProxyProtocolConfig,
  type ServerConfig,
} from "./gateway.ts";
export type { RedisConfig, RedisOptions, RedisTls } from "./registry/redis/redis-config.ts";
export type { Change, PutOptions, Registry } from "./registry/registry.ts";
export {
  type Cache,
  type CacheCall,
  type CacheCallback,
  type CacheChanged,
  type CacheCounts,
  cache,
} from "./shared/cache/cache.ts";
export type { CacheAnswer, HitLevel } from "./shared/cache/cache-answer.ts";
export type { CacheOptions, CacheTimes } from "./shared/cache/cache-options.ts";
export type {
  DictKey,
  DictValue,
  Expired,
  ListValue,
  Outcome,
  ScannedKeys,
  ScanOptions,
  SharedDict,
  StaleValue,
  Stored,
  StoreError,
  StoreOptions,
} from "./shared/dict/shared-dict.ts";
export type { EventCounts, EventFacts, EventHandler, Events, Published } from "./shared/events/events.ts";
export type { EventTarget } from "./shared/events/message.ts";
export { fetch } from "./shared/fetch.ts";
export type { ClusterConnLimiter } from "./shared/limits/cluster-conn.ts";
export { type ClusterLimits, type ClusterRateLimiter, clusterLimits } from "./shared/limits/cluster-limits.ts";
export type { ClusterOptions } from "./shared/limits/cluster-wires.ts";
export { type CombinedAnswer, combineLimits, type LimiterAndKey } from "./shared/limits/combine.ts";
export {
  type ConnAdmitted,
  type ConnIncoming,
  type ConnLimiter,
  type ConnSettings,
  limitConn,
} from "./shared/limits/limit-conn.ts";
export { type CountSettings, limitCount } from "./shared/limits/limit-count.ts";
export { limitRate, type RateLimiter, type RateSettings } from "./shared/limits/limit-rate.ts";
export { limitReq, type ReqLimiter, type ReqSettings } from "./shared/limits/limit-req.ts";
export type {
  Admitted,
  ClusterLimiter,
  IncomingOptions,
  LimitAnswer,
  LimitError,
  Limiter,
  Refused,
} from "./shared/limits/limiter.ts";
export { type RedisClient, type RedisScripts, redisScripts } from "./shared/limits/redis-scripts.ts";
export { type Lease, type LeaseAnswer, type LockOptions, lock } from "./shared/lock/lock.ts";
export { type Lru, type LruItem, type LruSetOptions, lru } from "./shared/lru.ts";
export { type Semaphore, type SemaphoreAnswer, semaphore } from "./shared/semaphore.ts";
export { sleep } from "./shared/sleep.ts";
export type { Snowflake, SnowflakeParts } from "./shared/snowflake.ts";
export { type ConsulKvOptions, consulKv } from "./shared/sync/consul-kv.ts";
export { type HashClient, type RedisHashOptions, redisHash } from "./shared/sync/redis-hash.ts";
export type { SyncSource, VersionedData } from "./shared/sync/source.ts";
export { type Sync, type SyncListener, type SyncOptions, sync } from "./shared/sync/sync.ts";
export { type NotScheduled, type Scheduled, type TimerCallback, type TimerCounts, timer } from "./shared/timer.ts";
export type { SharedTools } from "./shared/tools.ts";
export { type Certificate, certificate, type Pem } from "./ssl/certificate.ts";
export type { SslConfig } from "./ssl/settings.ts";
export { type CertSource, type CertStore, certList } from "./ssl/store.ts";
export type { CertificateChoice, HandshakeWish, TlsVersion, TlsVersions } from "./ssl/wish.ts";
export {
  type Action,
  type ContentAction,
  content,
  type DispatchAction,
  dispatch,
  type ProxyAction,
  proxy,
  type RejectAction,
  type RejectOptions,
  reject,
} from "./stream/action.ts";
export type { Ban, BanOptions } from "./stream/bans/ban.ts";
export type {
  BodyFilter,
  Bytes,
  ChunkFilter,
  ChunkFilterWithEnd,
  Filter,
  Filtered,
  StageFilter,
} from "./stream/filter/body-filter.ts";
export { type FrameFilter, type FrameOptions, type FrameResult, frames } from "./stream/filter/frames.ts";
export type { HttpRequest, HttpTools, PrefaceTools } from "./stream/filter/header-tools.ts";
export {
  type HttpBodyFilter,
  type HttpBodyOptions,
  type HttpBodyPiece,
  type HttpMessage,
  httpBody,
} from "./stream/filter/http-body.ts";
export type {
  BandwidthLimit,
  ConnLimit,
  CountLimit,
  LimitConfig,
  LimitKey,
  RateLimit,
  ReqLimit,
  RouteOptions,
} from "./stream/limits/limit-config.ts";
export type {
  PeekOptions,
  ReadError,
  Reader,
  ReadFailure,
  ReadLimits,
  Received,
  ReceivedFrame,
  UntilIterator,
  UntilOptions,
} from "./stream/reader.ts";
export { on, otherwise, type Route, silent } from "./stream/route.ts";
export type {
  AccessSession,
  Awaitable,
  BalancerSession,
  ContentSession,
  FilterSession,
  HeaderFilterSession,
  HookPhase,
  LogSession,
  Phase,
  PrereadSession,
  RewriteSession,
  RunningSession,
  ServerPhases,
  Session,
  SetVariable,
  SslClientHelloSession,
  SslSession,
  StartedTls,
  UpstreamTlsSession,
  VariableValue,
} from "./stream/session.ts";
export { type Connected, connect } from "./stream/socket/connect.ts";
export type { ConnectOptions } from "./stream/socket/connect-settings.ts";
export type { Payload } from "./stream/socket/payload.ts";
export type { Done, Sent, SocketReceived } from "./stream/socket/results.ts";
export type { Secured, SocketOption, SocketUntilIterator, StreamSocket } from "./stream/socket/socket.ts";
export type { SslHandshakeOptions } from "./stream/socket/ssl-settings.ts";
export type { Timeouts } from "./stream/socket/timeouts.ts";
export type { TlsSession } from "./stream/socket/tls-session.ts";
export { type Datagram, type UdpOptions, type UdpSocket, udp } from "./stream/socket/udp.ts";
export type { Killed, Task, TaskFunction, TaskScope, TaskStatus } from "./stream/task.ts";
export type { EndedTask } from "./stream/tasks.ts";
export type { Vars } from "./stream/vars.ts";
export type {
  Bans,
  BroadcastDone,
  SessionDone,
  SessionsEverywhere,
  WorkerContext,
} from "./stream/worker-context.ts";
export type { Balancer, BalancerInput } from "./upstream/balancer.ts";
export type { PeerChoice } from "./upstream/choice.ts";
export { type RegistryPeers, registry } from "./upstream/discovery.ts";
export { hash } from "./upstream/hash.ts";
export { leastConn } from "./upstream/least-conn.ts";
export type { Peer, PeerConfig, PeerOptions } from "./upstream/peer.ts";
export type { PeerPair } from "./upstream/peer-pairs.ts";
export type { PeerSslConfig } from "./upstream/peer-ssl.ts";
export type { PeerShown } from "./upstream/peer-verdict.ts";
export { randomTwo } from "./upstream/random-two.ts";
export { roundRobin } from "./upstream/round-robin.ts";
export type { SessionCtx, SessionFacts, SessionSsl } from "./upstream/session-facts.ts";
export type { UpstreamConfig } from "./upstream/upstream.ts";
