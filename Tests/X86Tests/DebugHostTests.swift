import CHostX86
import Testing

@testable import Engine
@testable import X86

/// Breakpoints of this host's processor, set with ptrace, beside the emulator's.
@Suite struct DebugHostTests {
  /// Gives the same numbers in every run.
  private struct Generator: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 }
    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state ^ state >> 29
    }
  }

  struct Stop: Equatable, CustomStringConvertible {
    var rip: UInt64
    var dr6: UInt64
    var description: String { "\(hex(rip - Bench.code)): \(hex(dr6))" }
  }

  /// The same with the emulator: each #DB is noted and the program goes on.
  static func emulated(_ run: hostx86_debug_run, _ code: [UInt8], _ engine: BackEnd) -> [Stop] {
    var options = JITOptions()
    options.threshold = 1
    guard let bench = TestHart(memory: 1 << 20, engine: engine, jit: options) else { return [] }
    let (isa, hart) = (bench.isa, bench.hart)
    isa.regions = [
      FlatRegion(
        va: Bench.code, size: UInt64(HOSTX86_CODE_SIZE), pa: 0x1000,
        protection: [.read, .write, .execute]),
      FlatRegion(
        va: Bench.data, size: UInt64(HOSTX86_DATA_SIZE), pa: 0x10000, protection: [.read, .write]),
    ]
    bench.ram.write(0x1000, code)
    isa.reset(hart, pc: Bench.code)
    let x = hart.x
    for (register, value) in [
      (UInt8(0), 0x1122_3344_5566_7788), (3, Bench.data + 0x300), (1, 4), (2, 2),
      (6, Bench.data + 0x100), (7, Bench.data + 0x200), (4, Bench.data + 0x1000),
      (5, Bench.data + 0x400),
    ] {
      x[Registers.slot(register)] = value
    }
    RFlags.write(x, 0x202 | (run.steps != 0 ? RFlags.trap : 0))
    for (number, value) in [run.dr.0, run.dr.1, run.dr.2, run.dr.3].enumerated() {
      isa.writeDebug(SystemSlot.debug + number, value, hart)
    }
    isa.writeDebug(SystemSlot.debugControl, run.dr7 | 0x400, hart)
    X64.modeChanged(hart)
    var stops: [Stop] = []
    isa.onException = { hart, exception in
      guard exception.vector == 1, stops.count < 64 else { return hart.requestStop() }
      let causes = x[SystemSlot.debugStatus] & 0x400f
      stops.append(Stop(rip: hart.pc, dr6: causes))
      x[SystemSlot.debugStatus] = DebugStatus.fixed
      // As Linux: the instruction of a breakpoint is to be executed now.
      for number in UInt64(0)..<4
      where causes >> number & 1 == 1 && run.dr7 >> (16 + 4 * number) & 3 == 0 {
        x[Registers.otherFlags] |= RFlags.resume
      }
      X64.modeChanged(hart)
    }
    _ = hart.run(until: 10_000)
    return stops
  }

  static func run(_ code: [UInt8], dr: [UInt64], dr7: UInt64, steps: Bool) -> hostx86_debug_run {
    var run = hostx86_debug_run()
    withUnsafeMutableBytes(of: &run.code) { $0.copyBytes(from: code) }
    run.codeLength = UInt64(code.count)
    withUnsafeMutableBytes(of: &run.dr) { to in
      dr.withUnsafeBytes { to.copyMemory(from: $0) }
    }
    run.dr7 = dr7
    run.steps = steps ? 1 : 0
    return run
  }

  static let programs: [[UInt8]] = [
    // mov [rbx],rax; mov ecx,[rbx+2]; add byte [rbx+7],1; mov [rbx-4],eax
    [0x48, 0x89, 0x03, 0x8b, 0x4b, 0x02, 0x80, 0x43, 0x07, 1, 0x89, 0x43, 0xfc],
    // push rax; pop rdx; call +0; ret to the next; (call: e8 01 00 00 00; 90; add rsp,8)
    [0x50, 0x5a, 0xe8, 1, 0, 0, 0, 0x90, 0x48, 0x83, 0xc4, 8],
    // lea rbx,[rsi+8]... rep movsb; lodsb; stosb
    [0xf3, 0xa4, 0xac, 0xaa],
    // rep stosq; scasb; cmpsw
    [0xf3, 0x48, 0xab, 0xae, 0x66, 0xa7],
    // xchg [rbx],rax; lock cmpxchg [rbx+4],edx; lock xadd [rbx],rdx
    [0x48, 0x87, 0x03, 0xf0, 0x0f, 0xb1, 0x53, 0x04, 0xf0, 0x48, 0x0f, 0xc1, 0x13],
    // movups xmm0,[rbx]; movups [rbx+4],xmm0; movss xmm1,[rbx+8]
    [0x0f, 0x10, 0x03, 0x0f, 0x11, 0x43, 0x04, 0xf3, 0x0f, 0x10, 0x4b, 0x08],
    // nop; jmp +1; nop; dec ecx; jnz to the first nop; nop
    [0x90, 0xeb, 0x01, 0x90, 0xff, 0xc9, 0x75, 0xf8, 0x90],
    // mov rax,rsp; movups [rbx+60],xmm0; mov [rbx+0x3fe], rax (across a line); nop
    [0x48, 0x89, 0xe0, 0x0f, 0x11, 0x43, 0x3c, 0x48, 0x89, 0x83, 0xfe, 3, 0, 0, 0x90],
  ]

  /// Where breakpoints go: about what the programs touch.
  static func places() -> [UInt64] {
    [
      Bench.data + 0x300, Bench.data + 0x302, Bench.data + 0x304, Bench.data + 0x307,
      Bench.data + 0x308, Bench.data + 0x2fc, Bench.data + 0xff8, Bench.data + 0xffc,
      Bench.data + 0x100, Bench.data + 0x102, Bench.data + 0x200, Bench.data + 0x203,
      Bench.data + 0x210, Bench.data + 0x21c, Bench.data + 0x340, Bench.data + 0x700,
    ]
  }

  /// Every program with many settings of the registers, stepped and not, in both engines.
  @Test(arguments: programs.indices)
  func debugExceptionsAreTheHostsOwn(program: Int) throws {
    var rng = Generator(UInt64(program + 1))
    let code = Self.programs[program] + [0xcc]
    for _ in 0..<24 {
      var dr: [UInt64] = [0, 0, 0, 0]
      var dr7: UInt64 = 0
      for number in 0..<Int.random(in: 1...4, using: &rng) {
        let isCode = Int.random(in: 0..<4, using: &rng) == 0
        var kind: UInt64 = 0
        var length: UInt64 = 0
        if isCode {
          dr[number] = Bench.code + UInt64.random(in: 0..<UInt64(code.count - 1), using: &rng)
        } else {
          length = UInt64.random(in: 0..<4, using: &rng)
          kind = Bool.random(using: &rng) ? 1 : 3
          // Linux takes aligned addresses only.
          let size: UInt64 = [1, 2, 8, 4][Int(length)]
          dr[number] = (Self.places().randomElement(using: &rng) ?? Bench.data) & ~(size - 1)
        }
        dr7 |= 1 << UInt64(2 * number) | (kind | length << 2) << UInt64(16 + 4 * number)
      }
      let steps = Int.random(in: 0..<3, using: &rng) == 0
      var run = Self.run(code, dr: dr, dr7: dr7, steps: steps)
      var stops = [hostx86_debug_stop](repeating: hostx86_debug_stop(), count: 64)
      let count = hostx86_debug(&run, &stops, 64)
      // Where ptrace is not allowed there is nothing to compare.
      guard count >= 0 else { return }
      let expected = stops[..<Int(count)].map { Stop(rip: $0.rip, dr6: $0.dr6) }
      for engine in [BackEnd.interpreter, .jit] {
        let seen = Self.emulated(run, code, engine)
        #expect(
          seen == expected,
          "\(engine) program \(program), steps \(steps), dr7 \(hex(dr7)), \(dr.map { hex($0) })")
      }
    }
  }
}
