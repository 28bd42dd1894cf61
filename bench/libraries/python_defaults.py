# What the libraries of Python do when nobody says: how long a call waits for a connection, an answer or a pool, how often it is tried again, what becomes of
# a 500. `/usr/bin/python3 bench/libraries/python_defaults.py [SECONDS] [LIBRARY …]` prints a line of JSON for each thing measured. All wait at the same time, each in a thread
# of its own, SECONDS long (20); what is still pending then is `pending`. What is longer than that is read from the library's own objects (`read`). A library
# that is not installed is `missing`. Far ends are on loopback.

import asyncio
import importlib
import importlib.metadata
import json
import logging
import os
import sys
import threading
import time
import warnings

# Nothing is left behind.
sys.dont_write_bytecode = True
import far_ends  # noqa: E402

BOUND_S = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
ASKED = set(sys.argv[2:])
SOON_S = 0.3
PROBES = []
logging.disable(logging.CRITICAL)
warnings.simplefilter('ignore')


def probe(library, package, what, module=None):
    """`run` is given the module; it returns or raises what the call does, or `('read', value)`."""
    def add(run):
        PROBES.append((library, package, what, module or package.replace('-', '_'), run))
        return run
    return add


def each(library, package, module, **runs):
    for what, run in runs.items():
        probe(library, package, what, module)(run)


def waits(run):
    """A coroutine function as a probe."""
    return lambda module: asyncio.run(run(module))


def came(far, ask):
    """How many connections a call makes that is refused each time, less the first."""
    try:
        ask(far)
    except Exception:
        pass
    return ('read', far.connections - 1)


def read(get):
    return lambda module: ('read', get(module))


# HTTP

each('requests', 'requests', 'requests',
     connect=lambda m: m.get(f'http://127.0.0.1:{far_ends.full()}/'),
     answer=lambda m: m.get(far_ends.silent().url),
     refusal=lambda m: m.get(far_ends.status(500).url),
     option=lambda m: m.get(far_ends.silent().url, timeout=SOON_S),
     retries=lambda m: came(far_ends.silent(), lambda far: m.get(far.url, timeout=SOON_S)))
each('httpx', 'httpx', 'httpx',
     connect=lambda m: m.get(f'http://127.0.0.1:{far_ends.full()}/'),
     answer=lambda m: m.get(far_ends.silent().url),
     refusal=lambda m: m.get(far_ends.status(500).url),
     option=lambda m: m.get(far_ends.silent().url, timeout=SOON_S),
     size=read(lambda m: m.Client()._transport._pool._max_connections),
     retries=lambda m: came(far_ends.silent(), lambda far: m.get(far.url, timeout=SOON_S)))


async def httpx_pool(m):
    async with m.AsyncClient(limits=m.Limits(max_connections=1), timeout=m.Timeout(None, pool=5)) as client:
        url = far_ends.silent().url
        asyncio.ensure_future(client.get(url))
        await asyncio.sleep(0.05)
        await client.get(url)


async def aiohttp_get(m, url, **options):
    async with m.ClientSession() as session:
        return (await session.get(url, **options)).status


async def aiohttp_size(m):
    async with m.ClientSession() as session:
        return ('read', session.connector.limit)


def total(m):
    return ('read', int(m.client.DEFAULT_TIMEOUT.total * 1000))


probe('httpx', 'httpx', 'pool')(waits(httpx_pool))
each('aiohttp', 'aiohttp', 'aiohttp',
     connect=lambda m: asyncio.run(aiohttp_get(m, f'http://127.0.0.1:{far_ends.full()}/')),
     answer=lambda m: asyncio.run(aiohttp_get(m, far_ends.silent().url)),
     default=total,
     refusal=lambda m: asyncio.run(aiohttp_get(m, far_ends.status(500).url)),
     option=lambda m: asyncio.run(aiohttp_get(m, far_ends.silent().url, timeout=m.ClientTimeout(SOON_S))),
     size=waits(aiohttp_size))
each('python', 'python', 'urllib.request',
     connect=lambda m: m.urlopen(f'http://127.0.0.1:{far_ends.full()}/'),
     answer=lambda m: m.urlopen(far_ends.silent().url),
     refusal=lambda m: m.urlopen(far_ends.status(500).url),
     option=lambda m: m.urlopen(far_ends.silent().url, None, SOON_S))


def by_hand(m, far, **options):
    connection = m.HTTPConnection('127.0.0.1', far.port, **options)
    connection.request('GET', '/')
    return connection.getresponse()


each('http.client', 'python', 'http.client',
     connect=lambda m: m.HTTPConnection('127.0.0.1', far_ends.full()).request('GET', '/'),
     answer=lambda m: by_hand(m, far_ends.silent()),
     refusal=lambda m: by_hand(m, far_ends.status(500)),
     option=lambda m: by_hand(m, far_ends.silent(), timeout=SOON_S))


def together(m):
    """Two calls at once through a pool of one."""
    far, pool = far_ends.silent(), m.PoolManager(maxsize=1)
    for _ in range(2):
        threading.Thread(target=lambda: pool.request('GET', far.url), daemon=True).start()
    time.sleep(1)
    if far.connections == 1:
        time.sleep(BOUND_S)
    raise TimeoutError('nobody waits: a connection more is made')


each('urllib3', 'urllib3', 'urllib3',
     connect=lambda m: m.PoolManager().request('GET', f'http://127.0.0.1:{far_ends.full()}/'),
     answer=lambda m: m.PoolManager().request('GET', far_ends.silent().url),
     refusal=lambda m: m.PoolManager().request('GET', far_ends.status(500).url),
     option=lambda m: m.PoolManager().request('GET', far_ends.silent().url, timeout=SOON_S),
     retries=lambda m: came(far_ends.silent(), lambda far: m.PoolManager().request('GET', far.url, timeout=SOON_S)),
     size=read(lambda m: m.PoolManager().connection_from_url('http://127.0.0.1').pool.maxsize),
     pool=together)
each('httplib2', 'httplib2', 'httplib2',
     connect=lambda m: m.Http().request(f'http://127.0.0.1:{far_ends.full()}/'),
     answer=lambda m: m.Http().request(far_ends.silent().url),
     refusal=lambda m: m.Http().request(far_ends.status(500).url),
     option=lambda m: m.Http(timeout=SOON_S).request(far_ends.silent().url))
each('smtplib', 'python', 'smtplib',
     connect=lambda m: m.SMTP('127.0.0.1', far_ends.full()),
     answer=lambda m: m.SMTP('127.0.0.1', far_ends.silent().port),
     option=lambda m: m.SMTP('127.0.0.1', far_ends.silent().port, None, SOON_S))


# Services of others

def bucket(m, far, **options):
    config = importlib.import_module('botocore.config').Config(**options)
    # A session of its own: the default one is not for threads.
    return m.session.Session().client('s3', endpoint_url=far.url, region_name='a', aws_access_key_id='a', aws_secret_access_key='a',
                    config=config).list_buckets()


def settings(m):
    return importlib.import_module('botocore.config').Config()


each('boto3', 'boto3', 'boto3',
     connect=read(lambda m: settings(m).connect_timeout * 1000),
     answer=lambda m: bucket(m, far_ends.silent()),
     default=read(lambda m: settings(m).read_timeout * 1000),
     refusal=lambda m: bucket(m, far_ends.status(400)),
     size=read(lambda m: settings(m).max_pool_connections),
     option=lambda m: bucket(m, far_ends.silent(), read_timeout=SOON_S, retries={'max_attempts': 0}),
     retries=lambda m: came(far_ends.silent(), lambda far: bucket(m, far, read_timeout=SOON_S)))


def elastic(m, far, **options):
    return m.Elasticsearch([far.url], **options).search(index='a')


each('elasticsearch', 'elasticsearch', 'elasticsearch',
     answer=lambda m: elastic(m, far_ends.silent()),
     refusal=lambda m: elastic(m, far_ends.status(500), max_retries=0),
     option=lambda m: elastic(m, far_ends.silent(), timeout=SOON_S, max_retries=0),
     default=read(lambda m: m.Elasticsearch().transport.get_connection().timeout * 1000),
     retries=read(lambda m: m.Elasticsearch().transport.max_retries))


def twilio_post(m, **options):
    client = importlib.import_module('twilio.http.http_client').TwilioHttpClient(**options)
    return client.request('POST', far_ends.silent().url)


each('twilio', 'twilio', 'twilio', answer=twilio_post, option=lambda m: twilio_post(m, timeout=SOON_S))
each('stripe', 'stripe', 'stripe',
     answer=lambda m: m.http_client.RequestsClient().request('GET', far_ends.silent().url, {}),
     default=read(lambda m: int(m.http_client.RequestsClient()._timeout * 1000)),
     retries=read(lambda m: m.max_network_retries))


# Databases and caches

def psycopg_at(m, far, **options):
    return m.connect(host='127.0.0.1', port=far.port, user='a', dbname='a', sslmode='disable', gssencmode='disable', **options)


def psycopg2_pool(m):
    pool = m.ThreadedConnectionPool(1, 1, host='127.0.0.1', port=far_ends.postgres().port, user='a', sslmode='disable')
    pool.getconn()
    pool.getconn()


for name in ('psycopg2', 'psycopg'):
    each('psycopg2', name, name,
         connect=lambda m, name=name: psycopg_at(importlib.import_module(name), far_ends.silent()),
         option_connect=lambda m, name=name: psycopg_at(importlib.import_module(name), far_ends.silent(), connect_timeout=2),
         answer=lambda m, name=name: psycopg_at(importlib.import_module(name), far_ends.postgres()).cursor().execute('SELECT 1'))
probe('psycopg2', 'psycopg2', 'pool', 'psycopg2.pool')(psycopg2_pool)


def psycopg_pool(m):
    return m.ConnectionPool(f'host=127.0.0.1 port={far_ends.silent().port} user=a sslmode=disable').getconn()


each('psycopg_pool', 'psycopg-pool', 'psycopg_pool', pool=psycopg_pool,
     size=read(lambda m: m.ConnectionPool('', open=False).max_size),
     default_pool=read(lambda m: int(m.ConnectionPool('', open=False).timeout * 1000)))


async def asyncpg_ask(m, far, **options):
    connection = await m.connect(host='127.0.0.1', port=far.port, user='a', password='a', database='a', ssl=False, **options)
    return await connection.execute('SELECT 1')


async def asyncpg_pool(m):
    pool = await m.create_pool(host='127.0.0.1', port=far_ends.postgres().port, user='a', database='a', ssl=False,
                               min_size=1, max_size=1)
    await pool.acquire()
    await pool.acquire()


def default_of(function, name):
    import inspect
    return inspect.signature(function).parameters[name].default


each('asyncpg', 'asyncpg', 'asyncpg',
     connect=lambda m: asyncio.run(asyncpg_ask(m, far_ends.silent())),
     default_connect=read(lambda m: default_of(m.connect, 'timeout') * 1000),
     answer=lambda m: asyncio.run(asyncpg_ask(m, far_ends.postgres())),
     option=lambda m: asyncio.run(asyncpg_ask(m, far_ends.postgres(), command_timeout=SOON_S)),
     option_connect=lambda m: asyncio.run(asyncpg_ask(m, far_ends.silent(), timeout=SOON_S)),
     size=read(lambda m: default_of(m.create_pool, 'max_size')),
     pool=waits(asyncpg_pool))


def redis_get(m, port, **options):
    return m.Redis(host='127.0.0.1', port=port, **options).get('a')


async def redis_async(m):
    return await importlib.import_module('redis.asyncio').Redis(host='127.0.0.1', port=far_ends.silent().port).get('a')


def redis_pool(m):
    pool = m.ConnectionPool(host='127.0.0.1', port=far_ends.silent().port, max_connections=1)
    pool.get_connection('GET')
    pool.get_connection('GET')


each('redis', 'redis', 'redis',
     connect=lambda m: redis_get(m, far_ends.full()),
     answer=lambda m: redis_get(m, far_ends.silent().port),
     answer_async=waits(redis_async),
     option=lambda m: redis_get(m, far_ends.silent().port, socket_timeout=SOON_S),
     option_connect=lambda m: redis_get(m, far_ends.full(), socket_connect_timeout=SOON_S),
     pool=redis_pool,
     size=read(lambda m: m.Redis().connection_pool.max_connections))


def mysql_at(name, far, **options):
    m, port = importlib.import_module(name), far if isinstance(far, int) else far.port
    connection = m.connect(host='127.0.0.1', port=port, user='a', **options)
    return connection.cursor().execute('SELECT 1')


async def aiomysql_at(m, far, **options):
    port = far if isinstance(far, int) else far.port
    connection = await m.connect(host='127.0.0.1', port=port, user='a', **options)
    return await (await connection.cursor()).execute('SELECT 1')


for name, package in (('pymysql', 'PyMySQL'), ('MySQLdb', 'mysqlclient')):
    each('mysqlclient' if name == 'MySQLdb' else name, package, name,
         connect=lambda m, name=name: mysql_at(name, far_ends.full()),
         handshake=lambda m, name=name: mysql_at(name, far_ends.silent(), connect_timeout=1),
         option_connect=lambda m, name=name: mysql_at(name, far_ends.full(), connect_timeout=1),
         answer=lambda m, name=name: mysql_at(name, far_ends.mysql()),
         option=lambda m, name=name: mysql_at(name, far_ends.mysql(), read_timeout=1))
each('aiomysql', 'aiomysql', 'aiomysql',
     connect=lambda m: asyncio.run(aiomysql_at(m, far_ends.full())),
     handshake=lambda m: asyncio.run(aiomysql_at(m, far_ends.silent(), connect_timeout=1)),
     option_connect=lambda m: asyncio.run(aiomysql_at(m, far_ends.full(), connect_timeout=1)),
     answer=lambda m: asyncio.run(aiomysql_at(m, far_ends.mysql())),
     size=read(lambda m: default_of(m.create_pool, 'maxsize')))


def mongo_at(m, far, **options):
    return m.MongoClient('127.0.0.1', far.port, **options)


def mongo_pool(m):
    client = mongo_at(m, far_ends.mongo(), maxPoolSize=1)
    threading.Thread(target=lambda: client.a.a.find_one(), daemon=True).start()
    time.sleep(1)
    client.a.a.find_one()


each('pymongo', 'pymongo', 'pymongo',
     connect=lambda m: mongo_at(m, far_ends.silent()).a.a.find_one(),
     default_connect=read(lambda m: int(mongo_at(m, far_ends.silent())._topology_settings.server_selection_timeout * 1000)),
     answer=lambda m: mongo_at(m, far_ends.mongo()).a.a.find_one(),
     option=lambda m: mongo_at(m, far_ends.mongo(), socketTimeoutMS=int(SOON_S * 1000), retryReads=False).a.a.find_one(),
     size=read(lambda m: mongo_at(m, far_ends.silent()).max_pool_size),
     pool=mongo_pool)


def engine(m):
    return m.create_engine('postgresql+psycopg2://a@127.0.0.1/a')


def engine_at(m, far, **args):
    return m.create_engine(f'postgresql+psycopg2://a@127.0.0.1:{far.port}/a?sslmode=disable', connect_args=args).connect()


each('sqlalchemy', 'SQLAlchemy', 'sqlalchemy',
     connect=lambda m: engine_at(m, far_ends.silent()),
     option_connect=lambda m: engine_at(m, far_ends.silent(), connect_timeout=2),
     answer=lambda m: engine_at(m, far_ends.postgres()).execute(m.text('SELECT 1')),
     size=read(lambda m: engine(m).pool.size()),
     default_pool=read(lambda m: int(engine(m).pool._timeout * 1000)))


# Brokers and RPC

def pika_at(m, far, **options):
    channel = m.BlockingConnection(m.ConnectionParameters('127.0.0.1', far.port, **options)).channel()
    return channel.queue_declare('a')


async def aio_pika_at(m, far, how='connect', **options):
    connection = await getattr(m, how)(f'amqp://a:a@127.0.0.1:{far.port}/', **options)
    channel = await connection.channel()
    return await channel.declare_queue('a')


each('pika', 'pika', 'pika',
     connect=lambda m: pika_at(m, far_ends.silent()),
     connect_full=lambda m: m.BlockingConnection(m.ConnectionParameters('127.0.0.1', far_ends.full())),
     answer=lambda m: pika_at(m, far_ends.amqp()))
each('aio-pika', 'aio-pika', 'aio_pika',
     connect=lambda m: asyncio.run(aio_pika_at(m, far_ends.silent())),
     connect_robust=lambda m: asyncio.run(aio_pika_at(m, far_ends.silent(), 'connect_robust')),
     option_connect_robust=lambda m: asyncio.run(aio_pika_at(m, far_ends.silent(), 'connect_robust', timeout=SOON_S)),
     option_connect=lambda m: asyncio.run(aio_pika_at(m, far_ends.silent(), timeout=SOON_S)),
     answer=lambda m: asyncio.run(aio_pika_at(m, far_ends.amqp())))


def call_of_grpc(m, far, **options):
    return m.insecure_channel(f'127.0.0.1:{far.port}').unary_unary('/a/b')(b'', **options)


each('grpcio', 'grpcio', 'grpc',
     answer=lambda m: call_of_grpc(m, far_ends.silent(), wait_for_ready=True),
     option=lambda m: call_of_grpc(m, far_ends.silent(), timeout=SOON_S))


def producer(m, far, **options):
    return m.KafkaProducer(bootstrap_servers=[f'127.0.0.1:{far.port}'], **options)


each('kafka-python', 'kafka-python', 'kafka',
     connect=lambda m: producer(m, far_ends.silent()),
     answer=lambda m: producer(m, far_ends.silent(), api_version=(2, 5)).send('a', b'a'),
     default=read(lambda m: m.KafkaProducer.DEFAULT_CONFIG['max_block_ms']),
     retries=read(lambda m: m.KafkaProducer.DEFAULT_CONFIG['retries']))


def flushed(m, *wait):
    made = m.Producer({'bootstrap.servers': f'127.0.0.1:{far_ends.silent().port}', 'log_level': 0})
    made.produce('a', b'a')
    left = made.flush(*wait)
    if left:
        raise TimeoutError(f'{left} left')


each('confluent-kafka', 'confluent-kafka', 'confluent_kafka', answer=flushed, option=lambda m: flushed(m, SOON_S))


def celery_app(m, port):
    return m.Celery('a', broker=f'redis://127.0.0.1:{port}/0', backend=f'redis://127.0.0.1:{port}/1')


each('celery', 'celery', 'celery',
     publish=lambda m: celery_app(m, far_ends.silent().port).send_task('a'),
     default_connect=read(lambda m: int(m.Celery('a').conf.broker_connection_timeout * 1000)))
each('websocket-client', 'websocket-client', 'websocket',
     answer=lambda m: m.create_connection(f'ws://127.0.0.1:{far_ends.silent().port}/'),
     option=lambda m: m.create_connection(f'ws://127.0.0.1:{far_ends.silent().port}/', timeout=SOON_S))



# The run

def version_of(package):
    if package == 'python':
        return '.'.join(map(str, sys.version_info[:3]))
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ''


def run_one(module, run, kept):
    started = time.monotonic()
    try:
        said = run(module)
        kept['outcome'], kept['value'] = said if isinstance(said, tuple) and said[0] == 'read' else ('answered', None)
    except ImportError as error:
        kept['outcome'], kept['error'] = 'missing', str(error)
    except BaseException as error:
        kept['outcome'], kept['error'] = 'threw', f'{type(error).__name__}: {str(error)[:90]}'
    kept['ms'] = round((time.monotonic() - started) * 1000)


def main():
    started = []
    for library, package, what, name, run in PROBES:
        if ASKED and library not in ASKED:
            continue
        kept = {'language': 'python', 'library': library, 'package': package, 'version': version_of(package), 'what': what}
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            print(json.dumps({**kept, 'outcome': 'missing', 'error': str(error)}))
            continue
        kept['outcome'] = 'pending'
        started.append(kept)
        threading.Thread(target=run_one, args=(module, run, kept), daemon=True).start()
    time.sleep(BOUND_S)
    for kept in started:
        print(json.dumps(kept))
    sys.stdout.flush()
    os._exit(0)


main()
