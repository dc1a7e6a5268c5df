// The same as bench_mcp.c with the official TypeScript SDK: node mcp_sdk.mjs SDK_DIRECTORY SERVER
const [dir, server] = process.argv.slice(2);
const { Client } = await import(`${dir}/dist/esm/client/index.js`);
const { StdioClientTransport } = await import(`${dir}/dist/esm/client/stdio.js`);
const client = new Client({ name: "bench", version: "1" }, { capabilities: {} });
await client.connect(new StdioClientTransport({ command: server, args: ["serve"] }));
await client.listTools();
const us = [];
for (let i = 0; i < 5200; i++) {
  const began = process.hrtime.bigint();
  await client.callTool({ name: "echo", arguments: { text: "hello" } });
  if (i >= 200) us.push(Number(process.hrtime.bigint() - began) / 1000);
}
us.sort((a, b) => a - b);
console.log(us[2500].toFixed(1), us[4950].toFixed(1));
await client.close();
