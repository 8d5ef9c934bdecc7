import { made } from "../ssl/made-certificates.ts";

/** Files of a certificate folder: `default` for `localhost`, and one pair per further name. */
export async function certificateFiles(...names: readonly string[]): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const name of ["localhost", ...names]) {
    const { cert, key } = await made({ names: [name] });
    const base = name === "localhost" ? "default" : name.replace("*", "_");
    Object.assign(files, { [`${base}.crt`]: cert, [`${base}.key`]: key });
  }
  return files;
}
