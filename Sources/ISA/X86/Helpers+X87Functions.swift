import Engine

/// The transcendental instructions.
enum X87Function: UInt8 { case f2xm1, yl2x, yl2xp1, patan, ptan, sin, cos, sincos }

/// F2XM1, FYL2X, FYL2XP1, FPATAN, FPTAN, FSIN, FCOS, FSINCOS by `d`.
///
/// - SeeAlso: Intel SDM volume 2, the pages of these names with their tables of results.
let x87Transcendental: Helper = { x, raw in
  guard var fpu = X87(x, raw) else { return }
  switch X87Function(rawValue: raw.op.d) ?? .f2xm1 {
  case .f2xm1:
    if underflows(fpu, 1) { return }
    let result = fpu.env.exponentialMinusOne(fpu[0])
    if fpu.finish() { fpu[0] = result }
  case .yl2x: combine(&fpu) { $0.logarithm($1, of: $2) }
  case .yl2xp1: combine(&fpu) { $0.logarithmPlusOne($1, of: $2) }
  case .patan: combine(&fpu) { $0.arcTangent($1, over: $2) }
  case .ptan: circular(&fpu, .tangent)
  case .sin: circular(&fpu, .sine)
  case .cos: circular(&fpu, .cosine)
  case .sincos: circular(&fpu, .both)
  }
}

/// ST(1) gets the result of ST(1) and ST(0), which is popped.
private func combine(
  _ fpu: inout X87, _ f: (inout ExtendedEnvironment, Extended, Extended) -> Extended
) {
  if fpu.isEmpty(0) || fpu.isEmpty(1) {
    guard fpu.stackFault(overflow: false) else { return }
    fpu[1] = .indefinite
    fpu.pop()
    return
  }
  let result = f(&fpu.env, fpu[1], fpu[0])
  guard fpu.finish() else { return }
  fpu[1] = result
  fpu.pop()
}

private func circular(_ fpu: inout X87, _ function: ExtendedEnvironment.CircularFunction) {
  let pushes = function == .tangent || function == .both
  fpu.x[Registers.fpStatus] &= ~StatusWord.c2
  if fpu.isEmpty(0) || pushes && !fpu.isEmpty(-1) {
    guard fpu.stackFault(overflow: !fpu.isEmpty(0)) else { return }
    fpu[0] = .indefinite
    if pushes { fpu.push(.indefinite) }
    return
  }
  guard case .result(let first, let second) = fpu.env.circular(function, fpu[0]) else {
    fpu.x[Registers.fpStatus] |= StatusWord.c2
    return
  }
  guard fpu.finish() else { return }
  fpu[0] = first
  guard pushes else { return }
  fpu.push(second)
}
