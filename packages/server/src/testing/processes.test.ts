import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'
import { makeScratch, until } from './processes.ts'

test('a scratch directory goes with the servers that a failed test left on it', async () => {
  const scratch = await makeScratch()
  const left = spawn('tail', ['-f', '/dev/null', `${scratch.path}/server`], { stdio: 'ignore' })
  const gone = once(left, 'exit')
  await scratch[Symbol.asyncDispose]()
  expect(await gone).toEqual([null, 'SIGKILL'])
})

test('what a killed test run left behind is swept by the next one, and what a living one has is not', async () => {
  await using living = await makeScratch()
  const dead = join(tmpdir(), basename(living.path).replace(`-${process.pid}-`, '-4000000-'))
  await mkdir(dead)
  const left = spawn('tail', ['-f', '/dev/null', `${dead}/server`], { stdio: 'ignore' })
  const gone = once(left, 'exit')
  await using _ = await makeScratch()
  await gone
  const names = await readdir(tmpdir())
  expect(names).toContain(basename(living.path))
  expect(names).not.toContain(basename(dead))
})

test('until rejects in time when nothing comes, and gives back what came', async () => {
  await expect(until('pigs fly', () => undefined, 20)).rejects.toThrow('pigs fly')
  expect(await until('seven', () => 7)).toBe(7)
})
