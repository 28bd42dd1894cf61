// Dockerfiles: stages with their instructions. Continuations are joined (comment lines between them dropped), heredocs belong to the instruction that opens them,
// and `ARG` defaults stand in for variables of `FROM`.
//   DX1. The line of an instruction is that of its first word, whatever is continued or quoted.
//   DX2. A heredoc's body is no instruction.
//   DX3. `FROM ${X}` is read with the default of `ARG X` before it.

import type { Dockerfile, DockerInstruction, DockerStage } from '../repository/configuration.ts'
import { nameOf } from '../repository/paths.ts'
import type { FileIndex } from '../repository/repository.ts'
import { attempt, type Tell } from './attempt.ts'
import { interpolate } from './interpolation.ts'

const FILE = /^(?:Dockerfile|Containerfile)(?:[.-][\w.-]+)?$|\.(?:dockerfile|containerfile)$/i
const INSTRUCTIONS_MAX = 2_000
const FILES_MAX = 500

export function readDockerfiles(files: FileIndex, tell: Tell = () => {}): readonly Dockerfile[] {
  const paths = files.list().filter((file) => FILE.test(nameOf(file)) && !/\.(md|dockerignore|txt|sh)$/i.test(file))
  return paths
    .filter((file) => files.role(file) !== 'vendored')
    .slice(0, FILES_MAX)
    .flatMap((file) => {
      const text = files.read(file)
      return text === undefined ? [] : (attempt(file, tell, () => [readDockerfile(file, text)]) ?? [])
    })
}

export function readDockerfile(file: string, text: string): Dockerfile {
  const stages: { name: string | undefined; base: DockerStage['base']; instructions: DockerInstruction[] }[] = []
  const defaults = new Map<string, string>()
  for (const instruction of instructions(file, text)) {
    if (instruction.name === 'FROM') {
      const words = instruction.text.split(/\s+/).filter((word) => !word.startsWith('--'))
      const base = interpolate(words[0] ?? '', (name) => defaults.get(name)).text
      const name = words[1]?.toUpperCase() === 'AS' ? words[2] : undefined
      stages.push({ name, base: { value: base, loc: instruction.loc }, instructions: [] })
    } else if (stages.length === 0) {
      const [, name, value] = /^(\w+)=["']?([^"']*)["']?$/.exec(instruction.text) ?? []
      if (instruction.name === 'ARG' && name !== undefined) defaults.set(name, value ?? '')
    } else stages.at(-1)?.instructions.push(instruction)
  }
  return { file, stages }
}

function instructions(file: string, text: string): readonly DockerInstruction[] {
  const lines = text.split(/\r?\n/)
  const continuation = /^#\s*escape\s*=\s*`/im.test(text.slice(0, 200)) ? '`' : '\\'
  const found: DockerInstruction[] = []
  for (let index = 0; index < lines.length && found.length < INSTRUCTIONS_MAX; index += 1) {
    const start = index
    let line = (lines[index] ?? '').trim()
    if (line === '' || line.startsWith('#')) continue
    while (line.endsWith(continuation) && index < lines.length - 1) {
      index += 1
      const next = (lines[index] ?? '').trim()
      // Comments and empty lines between continuations are dropped.
      line = next.startsWith('#') || next === '' ? line : `${line.slice(0, -1).trimEnd()} ${next}`
    }
    for (const word of heredocs(line)) {
      const body: string[] = []
      while (index < lines.length - 1 && (lines[index + 1] ?? '').trim() !== word) {
        index += 1
        body.push(lines[index] ?? '')
      }
      index += 1
      line = `${line}\n${body.join('\n')}`
    }
    const [, name = '', rest = ''] = /^([A-Za-z]+)\s*([\s\S]*)$/.exec(line) ?? []
    const loc = { file, line: start + 1, endLine: Math.min(index, lines.length - 1) + 1 }
    found.push({ name: name.toUpperCase(), text: rest, loc })
  }
  return found
}

function heredocs(line: string): readonly string[] {
  if (!/^(?:RUN|COPY|ADD)\b/i.test(line)) return []
  return [...line.matchAll(/(?<![<\w])<<-?(["']?)([A-Za-z_]\w*)\1/g)].map((match) => match[2] ?? '')
}
