/** Where in a configuration something is: `["servers", "edge", "routes", 2]`. */
export type KeyPath = readonly (string | number)[];

/** The path as people read it: `servers.edge.routes[2]`. */
export function formatPath(path: KeyPath): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    if (!PLAIN.test(key)) return `${text}[${JSON.stringify(key)}]`;
    return text === "" ? key : `${text}.${key}`;
  }, "");
}

/** Keys that need no quotes to be understood. */
const PLAIN = /^[\w$-]+$/;
