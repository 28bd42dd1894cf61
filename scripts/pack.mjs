// `node scripts/pack.mjs OUT [PACKAGE…]`: makes publishable tarballs in OUT. What is published is compiled JavaScript and types
// with `exports` rewritten to them; test files and fixtures stay behind. Prints the tarballs, one a line.

import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fail, root } from './bootstrap.mjs'

const [out = '.', ...names] = process.argv.slice(2)
mkdirSync(out, { recursive: true })
for (const name of names.length > 0 ? names : ['kernel', 'faults', 'sdk']) process.stdout.write(`${pack(name)}\n`)

function pack(name) {
  const source = join(root, 'packages', name)
  // Inside the workspace, so that the compiler finds what the package imports.
  const stage = mkdtempSync(
    join(existsSync(join(root, 'node_modules')) ? join(root, 'node_modules') : tmpdir(), '.stage-'),
  )
  try {
    compile(source, join(stage, 'dist'))
    const manifest = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'))
    for (const field of ['devDependencies', 'scripts', 'private']) delete manifest[field]
    manifest.exports = Object.fromEntries(
      Object.entries(manifest.exports).map(([door, file]) => [door, published(file)]),
    )
    if (Array.isArray(manifest.sideEffects))
      manifest.sideEffects = manifest.sideEffects.map((file) => published(file).default)
    manifest.files = ['dist', 'README.md', 'LICENSE']
    manifest.engines = { node: '>=22.12' } // compiled: type stripping is no longer needed
    writeFileSync(join(stage, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
    cpSync(join(root, 'LICENSE'), join(stage, 'LICENSE'))
    if (existsSync(join(source, 'README.md'))) cpSync(join(source, 'README.md'), join(stage, 'README.md'))
    const packed = run('npm', ['pack', '--json', '--pack-destination', resolve(out)], stage)
    return join(resolve(out), JSON.parse(packed)[0].filename)
  } finally {
    rmSync(stage, { recursive: true, force: true })
  }
}

function published(file) {
  const base = file.replace('./src/', './dist/').replace(/\.ts$/, '')
  return { types: `${base}.d.ts`, default: `${base}.js` }
}

function compile(source, outDir) {
  const config = join(outDir, '..', 'tsconfig.json')
  writeFileSync(
    config,
    JSON.stringify({
      extends: join(root, 'tsconfig.json'),
      compilerOptions: {
        noEmit: false,
        noEmitOnError: true, // what reaches out of the package would be written beside its source
        declaration: true,
        rewriteRelativeImportExtensions: true,
        rootDir: join(source, 'src'),
        outDir,
        stripInternal: false,
      },
      include: [join(source, 'src')],
      // From the package on: a pattern without a folder would be looked for beside the configuration, which is elsewhere.
      exclude: ['*.test.ts', '*.fixture.ts', 'fake-server.ts'].map((name) => join(source, 'src', '**', name)),
    }),
  )
  run(join(root, 'node_modules', '.bin', 'tsc'), ['-p', config], root)
}

function run(command, args, cwd) {
  const done = spawnSync(command, args, { cwd, encoding: 'utf8', shell: process.platform === 'win32' })
  if (done.status !== 0) fail(`${command} ${args.join(' ')} failed:\n${done.stdout}${done.stderr}`)
  return done.stdout
}
