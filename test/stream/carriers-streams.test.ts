import { carrierLaws } from "../laws/carrier-laws.ts";
import { nodeCarrier } from "../support/carriers.ts";

// As on a Node.js whose internals are not as expected. Asked for once per process, so this is a file of its own.
process.env["RESTYCONF_NODE_IO"] = "streams";

carrierLaws("the node carrier with net.Socket alone", nodeCarrier);
