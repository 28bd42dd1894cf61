// OpenAPI documents, YAML or JSON: their operations with lines.
//   CX10. Only a file whose top says `openapi` or `swagger` is one.

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
    if (text === undefined || !/^[\s{]*["']?(openapi|swagger)["']?\s*:/m.test(text.slice(0, 2_000))) continue
    const document = attempt(file, tell, () => readOpenApiFile(file, text, tell))
    if (document !== undefined) found.push(document)
  }
  return found
}

export function readOpenApiFile(file: string, text: string, tell: Tell = () => {}): OpenApiDocument | undefined {
  const { documents, problem } = readYaml(file, text)
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
