// OpenAPI documents, YAML or JSON: their operations with lines.
//   CX10. Only a file whose top says `openapi` or `swagger` is one.
//   QF1. Of YAML only the lines down to the operations are parsed, nine tenths are what is below them; a document in which that might say something else is
//        parsed whole.

import type { OpenApiDocument } from '../repository/configuration.ts'
import type { FileIndex } from '../repository/repository.ts'
import { attempt, type Tell } from './attempt.ts'
import { at, entriesOf, readYaml, scalarText } from './yaml.ts'

const METHODS = new Set(['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'])
const FILES_MAX = 200

export function readOpenApi(files: FileIndex, tell: Tell = () => {}): readonly OpenApiDocument[] {
  const paths = files.list().filter((file) => /\.(ya?ml|json)$/i.test(file) && files.role(file) !== 'vendored')
  const found: OpenApiDocument[] = []
  for (const file of paths) {
    if (found.length >= FILES_MAX) break
    if (/(^|\/)(package(-lock)?|tsconfig[\w.]*)\.json$/.test(file)) continue
    const text = files.read(file)
    if (text === undefined || !/^[ \t{]*["']?(openapi|swagger)["']?\s*:/m.test(text.slice(0, 2_000))) continue
    const document = attempt(file, tell, () => readOpenApiFile(file, text, tell))
    if (document !== undefined) found.push(document)
  }
  return found
}

export function readOpenApiFile(file: string, text: string, tell: Tell = () => {}): OpenApiDocument | undefined {
  const short = file.endsWith('.json') ? text : withoutBodies(text)
  const outlined = short === text || ALIAS.test(short) ? undefined : readYaml(file, short)
  const { documents, problem } =
    outlined === undefined || outlined.problem !== undefined ? readYaml(file, text) : outlined
  if (problem !== undefined) tell(file, problem)
  const [tree] = documents
  const top = at(tree, 'openapi') ?? at(tree, 'swagger')
  if (tree === undefined || top === undefined) return undefined
  const operations = [...entriesOf(at(tree, 'paths'))].flatMap(([path, { value }]) =>
    [...entriesOf(value)]
      .filter(([method]) => METHODS.has(method))
      .map(([method, { loc }]) => ({ method, path, loc: { ...loc, endLine: loc.line } })),
  )
  return { file, version: scalarText(at(tree, 'info', 'version')), operations }
}

const ALIAS = /:\s+\*|<</

/** Empty lines where a section that nobody asks for was, or what is below an operation: lines keep their numbers. */
function withoutBodies(text: string): string {
  let section = ''
  let path = -1
  let method = -1
  const lines = text.split('\n').map((line) => {
    const indent = line.search(/\S/)
    if (indent === -1) return line
    if (indent === 0) {
      section = /^["']?(\w+)["']?:\s*(?:#.*)?$/.exec(line)?.[1] ?? ''
      path = -1
      return line
    }
    if (section !== 'paths') return section === '' || section === 'info' ? line : ''
    if (path === -1) path = indent
    if (indent <= path) method = -1
    else if (method === -1) method = indent
    return method === -1 || indent <= method ? line : ''
  })
  return lines.join('\n')
}
