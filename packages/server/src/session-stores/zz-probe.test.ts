import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, test } from 'vitest'
import { startTestData } from './postgres.fixture.ts'
const PGB = execFileSync('sh', ['-c', 'ls /usr/lib/postgresql/*/bin/pgbench | tail -1']).toString().trim()
test('cost', { timeout: 200000 }, async () => {
  await using data = await startTestData()
  await data.mesh.query(`insert into ripstop.sessions (tenant_id, session_id, epoch, version, head, status, due_ms, deadline_ms, body, body_version)
   select '00000000-0000-4000-8000-000000000001', ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid, 1, 1, 'h', 'running', 1, 1, repeat('x', 800), 1 from generate_series(1, 1000) i`)
  const make = (hold: string) => `\\set i random(1, 1000)
update ripstop.sessions s set version = version + 1, body_version = version + 1 where tenant_id = '00000000-0000-4000-8000-000000000001' and session_id = ('00000000-0000-4000-8000-' || lpad((:i)::text, 12, '0'))::uuid and deleted_at is null ${hold};
`
  writeFileSync('/tmp/zz-with.sql', make('and ripstop.hold_session_epoch(1)'))
  writeFileSync('/tmp/zz-without.sql', make(''))
  for (let r = 0; r < 3; r++) for (const c of ['1', '16']) for (const f of ['with', 'without']) {
    const out = execFileSync(PGB, ['-n', '-M', 'prepared', '-f', `/tmp/zz-${f}.sql`, '-c', c, '-j', '1', '-T', '3', data.url], { stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, PGOPTIONS: '-c synchronous_commit=off' } }).toString()
    console.log(c, f, /latency average = (.*)/.exec(out)?.[1], /tps = (\S+)/.exec(out)?.[1])
  }
})
