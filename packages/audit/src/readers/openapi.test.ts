import { describe, expect, test } from 'vitest'
import { readOpenApiFile } from './openapi.ts'

const BODY = (indent: string) =>
  `${indent}responses:\n${indent}  '200':\n${indent}    description: "it: went {{{ well"\n`

function operationsOf(text: string, file = 'api.yaml') {
  const told: string[] = []
  const document = readOpenApiFile(file, text, (_, problem) => told.push(problem))
  return { told, at: document?.operations.map(({ method, path, loc }) => `${method} ${path} ${loc.line}`) }
}

describe('QF1: of an OpenAPI document', () => {
  test.each([
    [
      'operations are found with their lines, and what is below them is not parsed',
      `openapi: 3.0.0\ninfo:\n  version: 1\n  description: |\n    paths:\n      /no:\ncomponents:\n  broken: {{{\npaths:\n  /a:\n    get:\n      broken: {{{\n    summary: x\n    post:\n${BODY('      ')}  # a comment\n  /b:\n        delete:\n${BODY('            ')}`,
      ['get /a 11', 'post /a 14', 'delete /b 20'],
    ],
    [
      'names that stand for what is written elsewhere are followed',
      `openapi: 3.0.0\ncomponents:\n  x: &x\n    get:\n${BODY('      ')}paths:\n  /a: *x\n  /b:\n    <<: *x\n    put: {}\n`,
      ['get /a 4', 'put /b 12', 'get /b 4'],
    ],
    ['one that is written in one line is read', 'openapi: 3.0.0\npaths: {/a: {get: {}}}\n', ['get /a 2']],
  ])('%s', (_, text, at) => {
    expect(operationsOf(text)).toEqual({ told: [], at })
    expect(operationsOf(text.replaceAll('\n', '\r\n')).at).toEqual(at)
  })

  test('what is broken above the operations is told', () => {
    expect(operationsOf('openapi: 3.0.0\npaths:\n  /a: {{{\n').told).toHaveLength(1)
  })
})
