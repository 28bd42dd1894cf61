import { expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { missingGracefulShutdown } from './missing-graceful-shutdown.ts'

const found = (texts: Readonly<Record<string, string>>): readonly string[] =>
  foundIn(missingGracefulShutdown, { 'package.json': '{}', ...texts })

const SERVER = "const express = require('express')\nconst app = express()\n"
const STOP = "module.exports = () => process.on('SIGTERM', stop)"

test('QJ4: what is required within an expression belongs to the program', () => {
  const barrel = (text: string): Readonly<Record<string, string>> => ({
    'src/a.js': `${SERVER}const { shutdown } = require('./lib')\napp.listen(80)`,
    'src/lib/index.js': text,
    'src/lib/stop.js': STOP,
  })
  expect(found(barrel("module.exports = { shutdown: require('./stop') }"))).toEqual([])
  expect(found(barrel('module.exports = {}'))).toEqual(['strong src/a.js:4'])
  const loaded = { 'src/a.js': `${SERVER}require('./stop')()\napp.listen(80)`, 'src/stop.js': STOP }
  expect(found(loaded)).toEqual([])
})

test('QJ5: a server that a function makes and returns, and one that is made by what is required', () => {
  const made = {
    'src/a.js': "const { open } = require('./b')\nconst server = open(app)\nserver.listen(80)",
    'src/b.js':
      "const http = require('http')\nfunction open(app) {\n  const server = http.createServer(app)\n  return server\n}\nmodule.exports = { open }",
  }
  expect(found(made)).toEqual(['strong src/a.js:3'])
  const other = { ...made, 'src/b.js': made['src/b.js'].replace('http.createServer(app)', 'queue.open(app)') }
  expect(found(other)).toEqual([])
  const required = "const fastify = require('fastify')({ logger: true })\nfastify.listen({ port: 80 })"
  expect(found({ 'src/a.js': required })).toEqual(['strong src/a.js:2'])
})
