import type { FastifyInstance, FastifyReply, RouteHandlerMethod } from 'fastify'
import { sendProblem } from './problems.ts'

/** `readiness` gives the reasons why nothing can be stored now; none: ready. `warnings` are shown beside them, and change no status. */
export function registerHealth(
  app: FastifyInstance,
  readiness: () => readonly string[],
  warnings: () => readonly string[] = () => [],
): void {
  const route = (url: string, summary: string, handler: RouteHandlerMethod) =>
    app.route({ method: ['GET', 'HEAD'], url, config: { open: true }, schema: { summary }, handler })

  route('/livez', 'Whether the process works', (_request, reply) => sendOk(reply, 'live'))
  route('/readyz', 'Whether events can be stored', (_request, reply) => {
    const reasons = readiness()
    return reasons.length === 0
      ? sendOk(reply, 'ready', warnings())
      : sendProblem(reply, 'unavailable', { reasons: [...reasons, ...warnings()] })
  })
}

const sendOk = (reply: FastifyReply, status: string, warnings: readonly string[] = []) =>
  reply
    .header('cache-control', 'no-store')
    .header('x-request-id', reply.request.id)
    .send({ status, ...(warnings.length > 0 && { warnings }) })
