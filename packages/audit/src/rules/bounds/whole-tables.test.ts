import { expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { unboundedQuery } from './unbounded-query.ts'

function route(body: string): Readonly<Record<string, string>> {
  return {
    'src/a.py': `from fastapi import FastAPI\napp = FastAPI()\n\n@app.get("/parcels")\nasync def parcels(db):\n${body}`,
  }
}

test.each([
  [
    '    rows = await db.execute(text("SELECT id, weight FROM parcels ORDER BY id"))\n    return rows.fetchall()\n',
    ['review 6'],
  ],
  ['    return db.execute("SELECT * FROM parcels").fetchall()\n', ['review 6']],
  ['    return await db.fetch("SELECT * FROM parcels")\n', ['review 6']],
  ['    rows = await db.execute(text("SELECT id FROM parcels"))\n    return rows.fetchone()\n', []],
  ['    return db.execute("SELECT * FROM parcels WHERE id = 1").fetchall()\n', []],
  ['    return db.execute("SELECT * FROM parcels LIMIT 10").fetchall()\n', []],
  ['    return list(Parcel.objects.values())\n', ['review 6']],
  ['    return ParcelSerializer(Parcel.objects.all(), many=True).data\n', ['review 6']],
  ['    return paginate(Parcel.objects.all())\n', []],
  ['    return list(Parcel.objects.filter(weight=1))\n', []],
])('QR7: %j has %j', (body, expected) => {
  expect(foundIn(unboundedQuery, route(body))).toEqual(expected)
})
