import { createHmac, timingSafeEqual } from 'node:crypto'
import Fastify from 'fastify'

/**
 * What an acknowledgement costs at the least: a bare Fastify route that verifies the same signature, parses the body and
 * answers 200, and stores nothing.
 */
const key = Buffer.from((process.env.SOURCE_AI_SECRET ?? '').replace('whsec_', ''), 'base64')
const app = Fastify({ logger: false })
app.removeAllContentTypeParsers()
app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
app.post('/v1/webhooks/ai', (request, reply) => {
  const body = request.body as Buffer
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature } = request.headers
  const expected = createHmac('sha256', key)
    .update(`${String(id)}.${String(timestamp)}.`)
    .update(body)
    .digest()
  const given = Buffer.from(String(signature).slice('v1,'.length), 'base64')
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return reply.code(401).send()
  const event = JSON.parse(body.toString()) as { id: string }
  return reply.send({ received: true, uid: event.id, duplicate: false })
})
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
