// Checks vectors.json with npm `jose`, which shares no code with ours: `make vectors` installs it and runs this.
import { readFileSync } from "node:fs";
import { compactVerify, importJWK } from "jose";

const { keys, cases } = JSON.parse(readFileSync(process.argv[2], "utf8"));
let failed = 0;
let accepted = 0;
let refused = 0;
for (const { name, typ, jws, good, strict } of cases) {
  let isGood = false;
  try {
    const { protectedHeader } = await compactVerify(
      jws,
      (header) => {
        if (!(header.kid in keys)) throw new Error("unknown key");
        return importJWK({ ...keys[header.kid], alg: "Ed25519" }, "Ed25519");
      },
      { algorithms: ["Ed25519"] },
    );
    isGood = protectedHeader.typ === typ;
  } catch {
    isGood = false;
  }
  isGood ? accepted++ : refused++;
  if (isGood !== good && !strict) {
    failed++;
    console.error(`jose ${isGood ? "accepts" : "refuses"}: ${name}`);
  }
}
console.log(`jose: ${cases.length} cases, ${accepted} accepted, ${refused} refused, ${failed} wrong`);
process.exit(failed ? 1 : 0);
