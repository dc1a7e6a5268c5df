// Writes classes.def from the Unicode tables of the node that runs it:
//     node backend/gateway/classes.js >backend/gateway/classes.def
const names = {
  UPPER: /^[\p{Lu}\p{Lt}]$/u, LOWER: /^\p{Ll}$/u, LETTER: /^[\p{Lm}\p{Lo}]$/u,
  MARK: /^\p{M}$/u, NUMBER: /^\p{N}$/u, SPACE: /^\p{White_Space}$/u,
};
const runs = [];
for (let cp = 0; cp <= 0x10ffff; cp++) {
  if (cp >= 0xd800 && cp <= 0xdfff)
    continue;
  const text = String.fromCodePoint(cp);
  const name = Object.keys(names).find((n) => names[n].test(text));
  const last = runs[runs.length - 1];
  if (!name)
    continue;
  if (last && last.end + 1 === cp && last.name === name)
    last.end = cp;
  else
    runs.push({begin: cp, end: cp, name});
}
const rows = runs.map((r) => `C(0x${r.begin.toString(16)}, ${r.end - r.begin + 1}, ${r.name})`);
console.log(`/* C(first, how many, class): the general categories that splitters of tokenizers ask for, ascending.
 * Made by classes.js from Unicode ${process.versions.unicode}: UPPER is Lu and Lt, LETTER is Lm and Lo, SPACE is White_Space. */`);
for (let i = 0, line = ''; i < rows.length; i++) {
  line += (line ? ' ' : '') + rows[i];
  if (i + 1 === rows.length || line.length + rows[i + 1].length > 118) {
    console.log(line);
    line = '';
  }
}
