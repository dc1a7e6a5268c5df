// Writes the vocabulary of a tokenizer.json with byte-level pairs (Hugging Face's form) as ranks in tiktoken's form.
// usage: node ranks.js TOKENIZER_JSON > FILE
const fs = require('fs');
const {vocab} = JSON.parse(fs.readFileSync(process.argv[2], 'utf8')).model;
// Each byte stands there as a character: itself where that can be seen, else the next one from U+0100 on.
const bytes = new Map();
for (let b = 0, next = 256; b < 256; b++) {
  const seen = (b > 32 && b < 127) || (b > 160 && b !== 173);
  bytes.set(String.fromCodePoint(seen ? b : next++), b);
}
const rows = Object.entries(vocab).sort((a, b) => a[1] - b[1]);
for (const [token, rank] of rows)
  if ([...token].every((c) => bytes.has(c)))
    process.stdout.write(Buffer.from([...token].map((c) => bytes.get(c))).toString('base64') + ' ' + rank + '\n');
