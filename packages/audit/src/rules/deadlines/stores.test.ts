// Stores that are asked without a deadline: what a client is used for besides listening, and stores that only settings name.

import { expect, test } from 'vitest'
import { dbNoTimeout } from './db-no-timeout.ts'
import { foundBy } from './deadlines.fixture.ts'

test.each([
  ['src/a.py', 'from pymongo import MongoClient\nc = MongoClient(ADDRESS)\n', ['strong 2']],
  [
    'src/a.py',
    'from motor.motor_asyncio import AsyncIOMotorClient\nc = AsyncIOMotorClient(ADDRESS, maxPoolSize=5)\n',
    ['strong 2'],
  ],
  ['src/a.py', 'from motor import motor_asyncio\nc = motor_asyncio.AsyncIOMotorClient(ADDRESS)\n', ['strong 2']],
  ['src/a.py', 'from pymongo import MongoClient\nc = MongoClient(ADDRESS, timeoutMS=5000)\n', []],
  ['src/a.py', 'from pymongo import MongoClient\nc = MongoClient(ADDRESS, **options)\n', []],
])('DN4: MongoDB waits for answers for ever, %s with %j: %j', (file, source, expected) => {
  expect(foundBy(dbNoTimeout, { [file]: source })).toEqual(expected)
})

const bus = (more: string): string =>
  `import redis\nclass Bus:\n    def __init__(self):\n        self.r = redis.Redis(host="a")\n        self.heard = self.r.pubsub()\n${more}`
test.each([
  ['    def tell(self, text):\n        self.r.publish("a", text)\n', ['strong 4']],
  ['    def end(self):\n        self.r.close()\n', []],
  ['    def take(self):\n        return self.heard.get_message()\n', []],
])('QU1: a client that listens, and %j: %j', (more, expected) => {
  expect(foundBy(dbNoTimeout, { 'src/a.py': bus(more) })).toEqual(expected)
})

const database = (more: string, engine = 'django.db.backends.postgresql'): string =>
  `import os\n\nDATABASES = {\n    "default": {\n        "ENGINE": "${engine}",\n        "HOST": os.environ["DB"],\n${more}    }\n}\n`
const cache = (options: string): string =>
  `CACHES = {\n    "default": {\n        "BACKEND": "django_redis.cache.RedisCache",\n        "LOCATION": "redis://a:6379/1",\n        "TIMEOUT": 60,\n        "OPTIONS": {${options}},\n    }\n}\n`
test.each([
  [database(''), ['strong 3']],
  [database('        "OPTIONS": {"sslmode": "require"},\n'), ['strong 3']],
  [database('        "OPTIONS": {"connect_timeout": 5},\n'), []],
  [database('        "OPTIONS": options(),\n'), []],
  [database('        **more,\n'), []],
  [`${database('')}DATABASES["default"]["OPTIONS"] = {"connect_timeout": 5}\n`, []],
  [database('', 'django.db.backends.sqlite3'), []],
  [cache('"PASSWORD": secret'), ['strong 1']],
  [cache('"SOCKET_TIMEOUT": 5'), []],
  [cache('').replace('django_redis.cache.RedisCache', 'django.core.cache.backends.locmem.LocMemCache'), []],
])('QU2: of settings of Django %j: %j', (source, expected) => {
  expect(foundBy(dbNoTimeout, { 'shop/settings.py': source })).toEqual(expected)
})

test('QU2: settings for tests are nobody waiting', () => {
  expect(foundBy(dbNoTimeout, { 'shop/settings/test.py': database('') })).toEqual([])
})
