// Compares the console's tokens with gpt-tokenizer's own vectors and with what gpt-tokenizer makes of the
// texts of this repository and of random ones. usage: node tokens.js TOKENS_PROGRAM PACKAGE_DIRECTORY FILE...
const {spawnSync} = require('child_process');
const fs = require('fs');
const path = require('path');
const [program, dir, ...files] = process.argv.slice(2);
const json = (text) => JSON.stringify(text).replace(/[\u007f-\uffff]/g, (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));

function vectors(name) {
  const found = [];
  for (const block of fs.readFileSync(path.join(dir, 'data/TestPlans.txt'), 'utf8').split('EncodingName: ')) {
    const at = [block.indexOf('\nSample: '), block.lastIndexOf('\nEncoded: ')];
    if (block.slice(0, at[0]) === name && at[0] > 0)
      found.push([block.slice(at[0] + 9, at[1]), JSON.parse(block.slice(at[1] + 10))]);
  }
  return found;
}

// Random texts of what the splitters tell apart. Left out are U+0085, U+FEFF and the long s, of which a
// JavaScript expression and the one of the tokenizers' makers think differently.
function random(count) {
  let seed = 12345;
  const next = (n) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
  const parts = ['a', 'Z', 'hello', 'WORLD', 'Camel', "'s", "'LL", "'re", "'", ' ', '  ', '    ', '\t', '\n', '\r\n', '\n\n', ' \n ',
    '1', '42', '12345', '.', '...', '-->', '/', '//', '{"a":', '}', 'ж', 'Диск', 'ЗАПОЛНЕН', 'ёлка', '日本語', 'テスト', '한국어', 'مرحبا',
    '\u0301', 'e\u0301', 'Ⅳ', '½', '٣', 'ª', 'ǅ', 'ʰ', '😀', '👩‍👩‍👧', '\u00a0', '\u2003', '\u3000', '—', '«', '»', '€', 'ß', 'İ', '\0', '\u200b', '𝒜', '𐐀', 'हिन्दी', 'ไทย'];
  return Array.from({length: count}, () => Array.from({length: 1 + next(14)}, () => parts[next(parts.length)]).join(''));
}

let failed = 0;
for (const name of ['cl100k', 'o200k']) {
  const peer = require(path.join(dir, 'cjs/encoding', name + '_base.js'));
  const own = vectors(name + '_base');
  const texts = own.map((v) => v[0]);
  for (const file of files) texts.push(fs.readFileSync(file, 'utf8'));
  texts.push('a'.repeat(3000), ' '.repeat(500), 'ж'.repeat(700), 'ab1!'.repeat(800), '-'.repeat(2000));
  texts.push(...random(20000));
  const run = spawnSync(program, [path.join(dir, 'data', name + '_base.tiktoken'), name],
    {input: texts.map(json).join('\n') + '\n', encoding: 'utf8', maxBuffer: 1 << 28});
  const lines = run.stdout.trim().split('\n');
  if (run.status !== 0 || lines.length !== texts.length) {
    console.log(`${name}: the program ended with ${run.status} after ${lines.length} of ${texts.length} texts ${run.stderr}`);
    process.exit(1);
  }
  let tokens = 0;
  texts.forEach((text, i) => {
    const wanted = i < own.length ? own[i][1] : peer.encode(text, {allowedSpecial: new Set(), disallowedSpecial: new Set()});
    tokens += wanted.length;
    if (lines[i] !== JSON.stringify(wanted) && failed++ < 5)
      console.log(`${name}: ${json(text).slice(0, 300)}\n  wanted ${JSON.stringify(wanted).slice(0, 300)}\n  got    ${lines[i].slice(0, 300)}`);
  });
  console.log(`${name}: ${own.length} vectors, ${texts.length - own.length} texts, ${tokens} tokens`);
}
console.log(failed ? `${failed} texts differ` : 'all the same');
process.exit(failed ? 1 : 0);
