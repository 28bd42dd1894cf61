// Passwords that are written into rows as they came in.

import { expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { secretInClear } from './secret-in-clear.ts'

const join = (made: string, of = 'class Member(Base):\n    email = 1\n'): string =>
  `from fastapi import FastAPI\napp = FastAPI()\n${of}@app.post("/join")\ndef join(email: str, password: str, form: Form, db=None):\n    ${made}\n    db.commit()\n`
test.each([
  [join('member = Member(email=email, password=password)\n    db.add(member)'), ['strong 7']],
  [join('db.add(Member(email=form.email, password=form.password))'), ['strong 7']],
  [join('members.insert_one({"email": email, "password": password})'), ['strong 7']],
  [join('member = Member(email=email, password=get_hash(password))\n    db.add(member)'), []],
  [join('password = strong(password)\n    member = Member(email=email, password=password)\n    db.add(member)'), []],
  [join('member = Member(email=email, password=password)\n    check(member)'), []],
  [
    join(
      'member = Member(email=email, password=password)\n    db.add(member)',
      'class Member(Base):\n    def set_password(self, text):\n        self.kept = text\n',
    ),
    [],
  ],
  [join('hash_in(form)\n    db.add(Member(email=form.email, password=form.password))'), []],
  [join('member = Other(email=email, password=password)\n    db.add(member)'), []],
  [join('member = Member(email=email, password=password)\n    db.add(member)').replace('@app.post("/join")\n', ''), []],
])('QU12: %j: %j', (source, expected) => {
  expect(foundIn(secretInClear, { 'src/a.py': source })).toEqual(expected)
})
