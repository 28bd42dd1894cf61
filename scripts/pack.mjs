// `node scripts/pack.mjs OUT [PACKAGE…]`: makes publishable tarballs in OUT. What is published is compiled JavaScript and types
// with `exports` and `bin` rewritten to them; test files and fixtures stay behind, and packages of ours that a manifest bundles are
// inside. Prints the tarballs, one a line.

import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fail, root } from './bootstrap.mjs'

/** Under another name than in the workspace, or for older versions of Node. */
const PUBLISHED = { audit: { name: 'ripstop-audit', engines: { node: '>=20.19' } } }

const [out = '.', ...names] = process.argv.slice(2)
mkdirSync(out, { recursive: true })
for (const name of names.length > 0 ? names : ['kernel', 'faults', 'sdk', 'audit'])
  process.stdout.write(`${pack(name)}\n`)

function pack(name) {
  // Inside the workspace, so that the compiler finds what the package imports.
  const stage = mkdtempSync(
    join(existsSync(join(root, 'node_modules')) ? join(root, 'node_modules') : tmpdir(), '.stage-'),
  )
  try {
    const { bundleDependencies: bundled = [] } = build(name, stage)
    for (const dependency of bundled)
      build(dependency.replace('@ripstop/', ''), join(stage, 'node_modules', dependency), PUBLISHED[name]?.engines)
    const packed = run('npm', ['pack', '--json', '--pack-destination', resolve(out)], stage)
    return join(resolve(out), JSON.parse(packed)[0].filename)
  } finally {
    rmSync(stage, { recursive: true, force: true })
  }
}

/** The package as it is published, in `stage`; with the engines of the one that bundles it. Gives its manifest. */
function build(name, stage, engines) {
  const source = join(root, 'packages', name)
  mkdirSync(stage, { recursive: true })
  compile(source, join(stage, 'dist'))
  const manifest = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'))
  for (const field of ['devDependencies', 'scripts', 'private']) delete manifest[field]
  manifest.exports = Object.fromEntries(Object.entries(manifest.exports).map(([door, file]) => [door, published(file)]))
  for (const [command, file] of Object.entries(manifest.bin ?? {})) manifest.bin[command] = published(file).default
  if (Array.isArray(manifest.sideEffects))
    manifest.sideEffects = manifest.sideEffects.map((file) => published(file).default)
  manifest.files = ['dist', ...(manifest.files ?? []), 'README.md', 'LICENSE']
  manifest.engines = { node: '>=22.12' } // compiled: type stripping is no longer needed
  Object.assign(manifest, PUBLISHED[name], engines && { engines })
  writeFileSync(join(stage, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  cpSync(join(root, 'LICENSE'), join(stage, 'LICENSE'))
  for (const file of [...manifest.files, 'README.md'])
    if (existsSync(join(source, file))) cpSync(join(source, file), join(stage, file))
  return manifest
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
