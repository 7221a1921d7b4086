import type { FastifyInstance, FastifyReply, RouteHandlerMethod } from 'fastify'
import { sendProblem } from './problems.ts'

/** `readiness`: why events cannot be stored now; empty: the service is ready. `warnings` are shown too, but do not change the status. */
export function registerHealth(
  app: FastifyInstance,
  readiness: () => readonly string[],
  warnings: () => readonly string[] = () => [],
): void {
  const route = (url: string, summary: string, handler: RouteHandlerMethod) =>
    app.route({ method: ['GET', 'HEAD'], url, config: { health: true }, schema: { summary }, handler })

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
