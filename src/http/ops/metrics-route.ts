import type { OpsApp } from './ops-app.ts'

/** As much of `metrics.ts` as this route tells. */
export interface MetricsView {
  readonly contentType: string
  readonly text: () => Promise<string>
  readonly summary: () => object
}

/** `open`: answered without the token. */
export function registerMetrics(app: OpsApp, metrics: MetricsView, open: boolean): void {
  app.get(
    '/metrics',
    {
      config: { open },
      schema: {
        summary: 'Metrics for Prometheus; with Accept: application/json, a summary since the start',
        tags: ['metrics'],
        produces: ['text/plain', 'application/json'],
      },
    },
    async (request, reply) => {
      reply.header('vary', 'Accept')
      if (request.headers.accept?.includes('application/json')) return reply.send(metrics.summary())
      return reply.header('content-type', metrics.contentType).send(await metrics.text())
    },
  )
}
