import { expect, test } from 'vitest'
import { txWithOutbound } from '../concurrency/tx-with-outbound.ts'
import { swallowedError } from '../errors/swallowed-error.ts'
import { foundIn } from '../found.fixture.ts'
import { dualWrite } from './dual-write.ts'

const TASKS = 'from celery import shared_task\n\n@shared_task\ndef print_label(parcel_id):\n    draw(parcel_id)\n'
const PLAIN = 'class Alarm:\n    def delay(self, parcel_id):\n        pass\n\nprint_label = Alarm()\n'
const IMPORT = 'from labels import print_label\n'

function around(body: string): string {
  return `${IMPORT}\ndef add(db, parcel):\n${body}`
}

test.each([
  ['    db.commit()\n    print_label.delay(parcel.id)\n', TASKS, ['review src/a.py:5']],
  ['    db.commit()\n    print_label.apply_async(args=[parcel.id])\n', TASKS, ['review src/a.py:5']],
  ['    db.commit()\n    print_label.delay(parcel.id)\n', PLAIN, []],
  ['    print_label.delay(parcel.id)\n    db.commit()\n', TASKS, []],
])('QR2: %j of %j has %j', (body, labels, expected) => {
  expect(foundIn(dualWrite, { 'src/a.py': around(body), 'src/labels.py': labels })).toEqual(expected)
})

test.each([
  ['    Parcel.objects.create(weight=2)\n    print_label.delay(1)\n', ['review src/a.py:5']],
  ['    db.parcels.insert_one(parcel)\n    print_label.delay(1)\n', ['review src/a.py:5']],
  ['    Parcel.objects.filter(weight=2)\n    print_label.delay(1)\n', []],
  ['    db.commit()\n    exchange.publish(Message(parcel), routing_key="parcels")\n', ['review src/a.py:5']],
])('QR4: %j has %j', (body, expected) => {
  expect(foundIn(dualWrite, { 'src/a.py': around(body), 'src/labels.py': TASKS })).toEqual(expected)
})

test.each([
  ['    with transaction.atomic():\n        save(parcel)\n        print_label.delay(1)\n', ['strong src/a.py:6']],
  [
    '    with transaction.atomic():\n        save(parcel)\n        transaction.on_commit(lambda: print_label.delay(1))\n',
    [],
  ],
  ['    with transaction.atomic():\n        save(parcel)\n    print_label.delay(1)\n', []],
])('QR5: %j has %j', (body, expected) => {
  expect(foundIn(txWithOutbound, { 'src/a.py': around(body), 'src/labels.py': TASKS })).toEqual(expected)
})

test('QR5: a transaction of Tortoise holds it as well', () => {
  const text = `${IMPORT}\nasync def add(parcel):\n    async with in_transaction():\n        await parcel.save()\n        print_label.delay(1)\n`
  expect(foundIn(txWithOutbound, { 'src/a.py': text, 'src/labels.py': TASKS })).toEqual(['strong src/a.py:6'])
})

test.each([
  ['print_label.delay(1)', 'print_label', ['strong src/labels.py:7']],
  ['job = print_label.delay(1)', 'print_label', []],
  ['track_label.delay(1)', 'track_label', []],
])('QR6: of a task that answers with its failure, sent by %j: %j has %j', (sent, name, expected) => {
  const labels = `from celery import shared_task\n\n@shared_task\ndef ${name}(parcel_id):\n    try:\n        draw(parcel_id)\n    except Exception as error:\n        return {"failed": str(error)}\n`
  const text = `from labels import ${name}\n\ndef add(parcel):\n    ${sent}\n`
  expect(foundIn(swallowedError, { 'src/a.py': text, 'src/labels.py': labels })).toEqual(expected)
})
