/** The secret of source `ai` in tests and benchmarks. */
export const AI_SECRET = 'whsec_aG9sZGZhc3QtdGVzdC1zZWNyZXQtMzItYnl0ZXMh'
