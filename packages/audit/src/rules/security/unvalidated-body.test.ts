import { expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { unvalidatedInput } from './unvalidated-input.ts'

const MODEL = `const mongoose = require('mongoose')
const schema = new mongoose.Schema({ name: { type: String }, role: { type: String } })
module.exports = mongoose.model('Person', schema)
`
const HEAD = "const Person = require('./model')\n"
const ROUTE = (body: string, params = 'req, res') => `${HEAD}app.post('/x', async (${params}) => {\n${body}\n})\n`
const found = (route: string, more: Record<string, string> = {}) =>
  foundIn(unvalidatedInput, { 'a.js': route, 'model.js': MODEL, ...more })

test.each([
  ['the whole body', ROUTE('  await Person.create(req.body)'), ['strong a.js:3']],
  ['by a name', ROUTE('  const data = req.body\n  await Person.create(data)'), ['strong a.js:4']],
  ['spread', ROUTE('  await Person.create({ ...req.body, at: 1 })'), ['strong a.js:3']],
  ['overridden', ROUTE("  await Person.create({ ...req.body, role: 'user' })"), ['review a.js:3']],
  ['made new', ROUTE('  const one = new Person(req.body)\n  await one.save()'), ['strong a.js:3']],
  ['field by field', ROUTE('  const { name } = req.body\n  await Person.create({ name })'), ['review a.js:4']],
  [
    'fields that are tested',
    ROUTE('  const { name } = req.body\n  if (!name) return res.end()\n  await Person.create({ name })'),
    [],
  ],
  [
    'fields that are tested around',
    ROUTE('  if (!req.body.name) res.end()\n  else find(() => Person.create({ name: req.body.name }))'),
    [],
  ],
  ['nothing that is sent', ROUTE('  await Person.create({ name: x })'), []],
  ['no table', ROUTE('  await thing.create(req.body)'), []],
])('OS2: what is sent is stored: %s', (_name, route, expected) => {
  expect(found(route)).toEqual(expected)
})

test('OS2: a body is followed into functions, unless they change it', () => {
  const route = `const { add } = require('./service')\napp.post('/x', (req, res) => add(1, req.body))\n`
  const service = (first: string) =>
    `${HEAD}async function add(by, data) {\n  ${first}\n  await Person.create(data)\n}\nmodule.exports = { add }\n`
  expect(found(route, { 'service.js': service('') })).toEqual(['strong service.js:4'])
  expect(found(route, { 'service.js': service("data.role = 'user'") })).toEqual([])
})

test.each([
  ['a library', { 'b.js': "const Joi = require('joi')\n" }],
  ['a function', { 'b.js': 'function validateOrder(x) { return x }\n' }],
  ['shared code', { 'a.js': `${ROUTE('  await Person.create(req.body)')}const x = require('../common/x')\n` }],
])('OS1: a component that validates is silent: %s', (_name, more) => {
  const texts = {
    'own/package.json': '{}',
    'common/package.json': '{}',
    'common/x.js': "const Joi = require('joi')\n",
    'own/model.js': MODEL,
    'own/a.js': ROUTE('  await Person.create(req.body)'),
  }
  expect(foundIn(unvalidatedInput, texts)).toEqual(['strong own/a.js:3'])
  const own = Object.fromEntries(Object.entries(more).map(([name, text]) => [`own/${name}`, text]))
  expect(foundIn(unvalidatedInput, { ...texts, ...own })).toEqual([])
})

test('OS1, OS2: Python: a dictionary of the request becomes the record', () => {
  const route = (more = '') => `from flask import request
from sqlalchemy import Column, String
${more}
class Person(Base):
    __tablename__ = 'people'
    name = Column(String)
    role = Column(String)

def add():
    data = request.get_json()
    session.add(Person(**data))
`
  expect(foundIn(unvalidatedInput, { 'a.py': route() })).toEqual(['strong 11'])
  expect(foundIn(unvalidatedInput, { 'a.py': route('import marshmallow') })).toEqual([])
  const mongo = `from flask import request\nfrom pymongo import MongoClient\nclient = MongoClient()\n
def add():\n    client.db.people.insert_one(request.json)\n`
  expect(foundIn(unvalidatedInput, { 'a.py': mongo })).toEqual(['review 6'])
  expect(foundIn(unvalidatedInput, { 'a.py': mongo, 'b.py': 'import marshmallow\n' })).toEqual([])
})
