// Kubernetes objects of YAML files, several to a file. Of Helm templates what stands in {{ }} is put a word for, or its line emptied where
// it is no value, so that the others keep their number.
//   KX1. Every document that has apiVersion and kind is an object, lists of objects included, and nothing else is.
//   KX2. An object of a template says whether blocks of it were left out, and its lines are those of the file.

import type { KubernetesObject } from '../repository/configuration.ts'
import type { FileIndex } from '../repository/repository.ts'
import { attempt, type Tell } from './attempt.ts'
import { at, itemsOf, lineOf, plain, readYaml, scalarText, type Tree } from './yaml.ts'

const FILES_MAX = 2_000
const OBJECTS_MAX = 5_000
/** `key: {{ … }}`: the key is known though its value is not. */
const KEYED = /^\s*(- )?[\w./-]+:\s+[^\s|>]/
const LEFT = new Set(['vendored', 'generated', 'example', 'test'])

export function readKubernetes(files: FileIndex, tell: Tell = () => {}): readonly KubernetesObject[] {
  const found: KubernetesObject[] = []
  const paths = files.list().filter((file) => /\.ya?ml$/i.test(file) && !LEFT.has(files.role(file) ?? 'other'))
  for (const file of paths.slice(0, FILES_MAX)) {
    const text = files.read(file)
    if (text === undefined || !/^[ \t]*apiVersion:/m.test(text) || !/^[ \t]*kind:/m.test(text)) continue
    const objects = attempt(file, tell, () => readKubernetesFile(file, text, tell)) ?? []
    for (const object of objects) if (found.length < OBJECTS_MAX) found.push(object)
  }
  return found
}

export function readKubernetesFile(file: string, text: string, tell: Tell = () => {}): readonly KubernetesObject[] {
  let hidesBlocks = false
  const lines = !text.includes('{{')
    ? []
    : text.split('\n').map((line) => {
        if (!line.includes('{{')) return line
        hidesBlocks ||= /\{\{-?\s*(include|template|toYaml|tpl|with|range)\b|\|\s*(n?indent|toYaml)\b/.test(line)
        // What is behind the last end is looked at no more: opened again and again, each would be sought to the end of the line.
        const end = line.lastIndexOf('}}') + 2
        return KEYED.test(line) ? line.slice(0, end).replace(/\{\{.*?\}\}/g, 'template') + line.slice(end) : ''
      })
  const clean = lines.length === 0 ? text : lines.join('\n')
  const { documents, problem } = readYaml(file, clean)
  const found = documents.flatMap((tree) => objects(file, tree, hidesBlocks))
  // Of a template only the half was ever to be read.
  if (problem !== undefined && (lines.length === 0 || found.length === 0)) tell(file, problem)
  return found
}

function objects(file: string, tree: Tree, hidesBlocks: boolean): readonly KubernetesObject[] {
  const apiVersion = scalarText(at(tree, 'apiVersion'))
  const kind = scalarText(at(tree, 'kind'))
  if (tree.kind !== 'map' || apiVersion === undefined || kind === undefined) return []
  if (kind === 'List') return itemsOf(at(tree, 'items')).flatMap((item) => objects(file, item, hidesBlocks))
  const name = scalarText(at(tree, 'metadata', 'name')) ?? ''
  const line = tree.entries.get('kind')?.loc.line ?? tree.loc.line
  return [
    {
      file,
      loc: { file, line, endLine: line },
      apiVersion,
      kind,
      name,
      namespace: scalarText(at(tree, 'metadata', 'namespace')),
      hidesBlocks,
      body: plain(tree) as Readonly<Record<string, unknown>>,
      line: (path) => lineOf(tree, path),
    },
  ]
}
