// Clients of other people's services in Python.

import { each, type Library, words } from './library.ts'

const base = {
  language: 'python',
  kind: 'http',
  refusal: 'throws',
  retries: 0,
  calls: [],
  makes: [],
  methods: [],
} as const

export const PYTHON_SERVICES: readonly Library[] = [
  {
    ...base,
    name: 'elasticsearch',
    versions: '7 to 9',
    connect: { ms: 10_000, options: words('timeout request_timeout') },
    answer: { ms: 10_000, options: words('timeout request_timeout') },
    retries: 3,
    makes: words(
      'elasticsearch.Elasticsearch elasticsearch.AsyncElasticsearch opensearchpy.OpenSearch opensearchpy.AsyncOpenSearch',
    ),
    methods: words('search index bulk get update delete count ping exists delete_by_query update_by_query msearch'),
    sources: ['https://www.elastic.co/docs/reference/elasticsearch/clients/python/configuration'],
  },
  {
    ...base,
    name: 'twilio',
    versions: '7 to 9',
    connect: { ms: undefined, options: ['timeout'] },
    // Of the client's own: `http_client=TwilioHttpClient(timeout=…)`.
    answer: { ms: undefined, options: ['timeout'] },
    makes: words('twilio.rest.Client'),
    methods: words('messages.create calls.create'),
    sources: ['https://github.com/twilio/twilio-python/blob/main/twilio/http/http_client.py'],
  },
  {
    ...base,
    name: 'stripe',
    versions: '5',
    connect: { ms: 80_000, options: ['timeout'] },
    answer: { ms: 80_000, options: ['timeout'] },
    calls: each(
      'stripe',
      'Charge.create Customer.create Customer.retrieve Customer.modify PaymentIntent.create PaymentIntent.confirm PaymentIntent.retrieve PaymentIntent.capture Refund.create Subscription.create Subscription.modify checkout.Session.create checkout.Session.retrieve Transfer.create Payout.create',
    ),
    sources: ['https://github.com/stripe/stripe-python#configuring-http-client'],
  },
  {
    ...base,
    name: 'boto3',
    kind: 'other',
    versions: '1',
    connect: { ms: 60_000, options: words('connect_timeout config') },
    answer: { ms: 60_000, options: words('read_timeout config') },
    pool: { size: 10, wait: { ms: undefined, options: [] } },
    retries: 4,
    makes: each('boto3', 'client resource'),
    sources: ['https://botocore.amazonaws.com/v1/documentation/api/latest/reference/config.html'],
  },
  {
    ...base,
    name: 'openai',
    isSlow: true,
    versions: 'openai 1 and 2, anthropic 0.x',
    connect: { ms: 600_000, options: ['timeout'] },
    answer: { ms: 600_000, options: ['timeout'] },
    retries: 2,
    makes: [
      ...each('openai', 'OpenAI AsyncOpenAI AzureOpenAI AsyncAzureOpenAI'),
      ...each('anthropic', 'Anthropic AsyncAnthropic'),
    ],
    methods: words(
      'chat.completions.create completions.create responses.create embeddings.create messages.create messages.stream',
    ),
    sources: [
      'https://github.com/openai/openai-python#timeouts',
      'https://github.com/anthropics/anthropic-sdk-python#timeouts',
    ],
  },
]
