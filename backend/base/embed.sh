#!/bin/sh
# Prints an assembler file that holds the given files and a table of them: see embed.h.
# usage: embed.sh SET FILE...
set -eu
set_name=$1
shift
printf '.section .rodata\n'
n=0
for file in "$@"; do
  printf '.Lname%d: .asciz "%s"\n.Ldata%d: .incbin "%s"\n.Lend%d: .byte 0\n' $n "$file" $n "$file" $n
  n=$((n + 1))
done
printf '.section .data.rel.ro,"aw"\n.balign 8\n.global embed_%s\nembed_%s:\n' "$set_name" "$set_name"
i=0
while [ $i -lt $n ]; do
  printf '.quad .Lname%d, .Ldata%d, .Lend%d - .Ldata%d\n' $i $i $i $i
  i=$((i + 1))
done
printf '.quad 0, 0, 0\n.section .note.GNU-stack,"",@progbits\n'
