import { expect, test } from 'vitest'
import { repositoryOf } from '../../repository/repository.fixture.ts'
import { blockingInAsync } from './blocking-in-async.ts'

function places(texts: Readonly<Record<string, string>>): readonly string[] {
  return [...blockingInAsync.run(repositoryOf(texts))].map(({ evidence: [first] }) => {
    const { file, line, endLine } = first?.loc ?? {}
    return `${file}:${line}-${endLine}`
  })
}

const ROUTE =
  'from fastapi import FastAPI\nfrom stores import NAME\napp = FastAPI()\n\n@app.get("/p")\nasync def one(key: str):\n    found = NAME.find_one({"key": key})\n    return found\n'

test.each([
  [
    'db',
    'from pymongo import MongoClient\nclient = MongoClient(URL)\ndb = client["shop"]\n',
    'db.parcels',
    ['src/a.py:6-7'],
  ],
  [
    'parcels',
    'from pymongo import MongoClient\nclient = MongoClient(URL)\ndb = client[SHOP]\nparcels = db.parcels\n',
    'parcels',
    ['src/a.py:6-7'],
  ],
  [
    'db',
    'from motor.motor_asyncio import AsyncIOMotorClient\nclient = AsyncIOMotorClient(URL)\ndb = client["shop"]\n',
    'db.parcels',
    [],
  ],
  ['db', 'db = shop["x"]\n', 'db.parcels', []],
])('QR3: %s of %j, asked as %s: %j', (name, stores, asked, expected) => {
  const text = ROUTE.replace('import NAME', `import ${name}`).replace('NAME.', `${asked}.`)
  expect(places({ 'src/a.py': text, 'src/stores.py': stores })).toEqual(expected)
})

test('QR14: the place ends where the function leads to what waits', () => {
  const text =
    'import time\nfrom fastapi import FastAPI\napp = FastAPI()\n\ndef nap():\n    time.sleep(1)\n\n@app.get("/p")\nasync def one():\n    log("x")\n    nap()\n'
  expect(places({ 'src/a.py': text })).toEqual(['src/a.py:9-11'])
})
