import { expect, test } from 'vitest'
import { readTypeScript } from '../readers/typescript/index.ts'
import { CallIndex } from './calls.ts'

const TEXTS = {
  'b.ts': 'client.get(1)\nget(client.put(2))\nother.client.get()\nnew Map().set(1, 2)\nconstructor()\n',
  'a.ts': 'put()\nfunction f() { client.get(3) }\nx.y.toString()\nget\n',
  'empty.ts': '',
}
const facts = new Map(Object.entries(TEXTS).map(([file, text]) => [file, readTypeScript(file, text)]))
const all = [...facts].flatMap(([file, own]) => own.calls.map((call) => ({ file, call, facts: own })))
const lastOf = (text: string): string => text.slice(text.lastIndexOf('.') + 1)

test.each([
  ['one name', ['get']],
  ['several names', ['put', 'get', 'gone']],
  ['names of everything', new Set(['constructor', 'toString', 'set', 'Map'])],
  ['a pattern', /^(?:get|put)$/],
  ['no name', []],
])('QF3: calls by %s are those of a walk over all files, in their order', (_, names) => {
  const index = new CallIndex(facts)
  const is = (name: string): boolean => (names instanceof RegExp ? names.test(name) : [...names].includes(name))
  const walked = all.filter(({ call }) => is(lastOf(call.callee.text)))
  for (let time = 0; time < 2; time++)
    expect(index.named(names).map(({ file, call }) => ({ file, call }))).toEqual(
      walked.map(({ file, call }) => ({ file, call })),
    )
})

test.each([[/client\.get$/], [/^get$/], [/./], [/^$/]])('QF3: calls whose whole text is like %s are too', (text) => {
  const found = new CallIndex(facts).like(text)
  const walked = all.filter(({ call }) => text.test(call.callee.text))
  expect(found.map(({ file, call }) => [file, call])).toEqual(walked.map(({ file, call }) => [file, call]))
  expect(found.every((site) => facts.get(site.file) === site.facts)).toBe(true)
})
