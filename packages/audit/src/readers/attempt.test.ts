import { expect, test } from 'vitest'
import { readConfiguration } from '../repository/read-configuration.ts'
import { filesOf } from '../repository/repository.fixture.ts'
import { attempt } from './attempt.ts'

test('WA14: a reader that throws costs its file, which is told', () => {
  const told: string[] = []
  const tell = (file: string, problem: string) => void told.push(`${file}: ${problem}`)
  expect(attempt('a', tell, () => 1)).toBe(1)
  const fail = () => {
    throw new RangeError('too deep')
  }
  expect(attempt('b', tell, fail)).toBeUndefined()
  expect(told).toEqual(['b: too deep'])
})

test('WA14: broken Kubernetes YAML, manifests and OpenAPI documents are told; whole ones and templates are not', () => {
  const told: string[] = []
  const object = 'apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n'
  const configuration = readConfiguration(
    filesOf({
      'k/broken.yaml': `${object}spec: [\n`,
      'k/whole.yaml': object,
      'k/template.yaml': `${object}spec:\n{{- with .Values.x }}\n  {{- toYaml . | nindent 2 }}\n   - {{ . }}\n{{- end }}\n`,
      'notes.yaml': 'this: [is\nno: object',
      'package.json': '{ "name": "a", "dependencies": {',
      'web/package.json': '{ "name": "a", "dependencies": { "b": "1" } }',
      'openapi.yaml': 'openapi: 3.0.0\npaths: {{{\n',
    }),
    { tell: (file) => void told.push(file) },
  )
  expect(new Set(told)).toEqual(new Set(['k/broken.yaml', 'openapi.yaml', 'package.json']))
  expect(configuration.kubernetes.map(({ file }) => file)).toContain('k/whole.yaml')
  expect(configuration.manifests).toHaveLength(2)
})
