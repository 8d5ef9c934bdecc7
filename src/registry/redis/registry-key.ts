/** Keys of the driver itself begin so, and are no keys of the registry. */
export const INTERNAL = "~";

/** True for keys that a registry may have. */
export function isRegistryKey(key: string): boolean {
  return key !== "" && !key.startsWith(INTERNAL);
}
