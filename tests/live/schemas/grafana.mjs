// Writes the JSON schema of a dashboard, made of Grafana's own published types.
import { createGenerator } from "ts-json-schema-generator";

const schema = createGenerator({
  path: "node_modules/@grafana/schema/dist/types/raw/dashboard/x/types.gen.d.ts",
  type: "Dashboard",
  skipTypeCheck: true,
}).createSchema("Dashboard");
console.log(JSON.stringify(schema));
