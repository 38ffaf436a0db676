import Engine
import GuestKernel
import Machine
import RISCV
import Testing

@testable import Probes

/// An instruction of the kernel's text.
struct KernelInsn: CustomStringConvertible {
  var address: UInt64
  var bytes: [UInt8]
  /// The manual's name of it, without prefixes.
  var name: String
  var verdict: ProbeVerdict?
  var length: UInt64 { UInt64(bytes.count) }
  /// What RISC-V's decoder says.
  var insn: RISCV.Insn? {
    RISCV.Decoder.decode(bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) })
  }
  var description: String { "\(String(address, radix: 16)) \(name)" }
}

extension Rig {
  static let allRight = ProgramExit.ended(.exited(0))
  /// More than any of these runs needs.
  static let enough: UInt64 = 3_000_000

  /// A machine whose program calls the kernel's probe targets ten times, without any probe: it exits
  /// with ten times the number of wrong results.
  static func targets(
    _ guest: ProgramArchitecture, _ legacy: LegacyPolicies = [], _ model: CacheModel = .coherent,
    isa: (any ProbeISA)? = nil
  ) throws -> Rig {
    let rig = try Rig("probes.elf", ["k"], cacheModel: model, facts: isa, guest: guest)
    rig.probes.legacy = legacy
    let from = try rig.symbol(rig.syscall("getpid"))
    let distance = try rig.symbol("run_probe_targets") &- from
    let jump = rig.facts.kernelJump(Int64(bitPattern: distance))
    #expect(rig.machine.kernel.writeKernel(from, jump))
    return rig
  }

  var facts: GuestFacts { .of(guest) }

  func symbol(_ name: String) throws -> UInt64 { try #require(machine.kernel.symbol(name)) }

  func text(_ address: UInt64, _ count: Int = 4) -> [UInt8] {
    machine.kernel.readKernel(address, count) ?? []
  }

  /// The instructions from a symbol up to another one, or up to the function's end, without probes.
  func insns(_ first: String, to last: String? = nil) throws -> [KernelInsn] {
    var at = try symbol(first)
    let image = try #require(machine.kernel.image)
    let end = try last.map(symbol)
    var found: [KernelInsn] = []
    while end.map({ at < $0 }) ?? (image.symbol(at: at)?.name == first) {
      let isa = probes.isa
      let rest = probes.kprobes.original(at)
      let length = try #require(isa.length(rest), "\(first) \(String(at, radix: 16))")
      let words = isa.disassemble(rest, at: at).split { $0 == " " || $0 == "\t" }
      let prefixes = ["lock", "rep", "repe", "repne", "repz", "repnz"]
      found.append(
        KernelInsn(
          address: at, bytes: Array(rest.prefix(length)),
          name: words.first { !prefixes.contains(String($0)) }.map(String.init) ?? "",
          verdict: isa.classify(rest, .kernel)?.verdict))
      at &+= UInt64(length)
    }
    // Without what fills the place up to the next function.
    while let last = found.last, ["nop", "int3"].contains(last.name) { found.removeLast() }
    return found
  }

  /// All of the targets' own instructions.
  func targetInsns() throws -> [KernelInsn] {
    try insns("kprobe_target", to: "run_probe_targets")
  }

  var slots: Range<UInt64> { probes.kprobes.slots.base..<probes.kprobes.slots.end }

  /// Ends ``run(limit:)`` once the hit that is being served is answered.
  func stop() {
    machine.isInterrupted = { true }
    machine.hart.requestStop()
  }

  /// Executes one instruction.
  func step() {
    machine.isInterrupted = { false }
    _ = machine.run(limit: machine.hart.count &+ 1)
  }

  /// Goes on by single instructions until the pc is as asked for.
  func step(until isThere: (UInt64) -> Bool) -> Bool {
    for _ in 0..<5000 {
      if isThere(machine.hart.pc) { return true }
      step()
    }
    return false
  }

  func goOn(limit: UInt64 = enough) -> ProgramExit {
    machine.isInterrupted = { false }
    return run(limit: limit)
  }

  func panic(_ exit: ProgramExit) -> String? {
    if case .ended(.panicked(let text)) = exit { text } else { nil }
  }

  /// What a handler that is kernel code would do by running into a probe: the trap of the break, the
  /// instruction taken as done, and the trap behind it.
  ///
  /// Its frame is put far below what the kernel's own functions use of the stack.
  ///
  /// - Returns: whether somebody claimed the breaks.
  @discardableResult
  func hit(_ address: UInt64, within context: ProbeContext) -> Bool {
    let kernel = machine.kernel
    let size = UInt64(kernel.isa.ptRegs.size)
    let block = context.stack
    // The frame of the first hit may lie on a stack of the exception's own.
    let isBelow = (block..<(block &+ 8192)).contains(context.regsVA)
    let at = (isBelow ? context.regsVA : block &+ 8192) &- size
    var frame = context.regs
    frame.store64(kernel.isa.ptRegs.pc, address &+ probes.isa.breakTrapOffset)
    kernel.writeKernel(at, frame)
    guard kernel.askHooks(at, address: nil, cause: 3) != nil else { return false }
    guard var after = kernel.readKernel(at, Int(size)) else { return false }
    let pc = after.load64(kernel.isa.ptRegs.pc)
    // No trap ends a copy that goes back by itself.
    guard slots.contains(pc), probes.kprobes.points[address]?.isBoosted != true,
      let length = probes.isa.length(text(pc, probes.isa.maxInsnLength))
    else { return true }
    let end = probes.isa.stepCause(.kernel)
    let behind = end == nil ? probes.isa.breakTrapOffset : 0
    after.store64(kernel.isa.ptRegs.pc, pc &+ UInt64(length) &+ behind)
    kernel.writeKernel(at, after)
    return kernel.askHooks(at, address: nil, cause: end ?? 3) != nil
  }

  @discardableResult
  func kprobe(
    _ symbol: String, _ offset: UInt64 = 0, pre: ((ProbeContext) -> ProbeAction)? = nil,
    post: ((ProbeContext) -> Void)? = nil
  ) throws(ProbeError) -> Kprobe {
    try probes.registerKprobe(
      KprobeRequest(.symbol(symbol, offset: offset), pre: pre, post: post))
  }

  /// Has the function that begins at a hit return a value at once: by way of one that does nothing,
  /// so that nothing but the result is changed where nobody goes there.
  ///
  /// - SeeAlso: Linux, `arch/x86/lib/error-inject.c`, `just_return_func`
  func justReturn(_ value: UInt64, _ context: ProbeContext) -> ProbeAction {
    context.returnValue = value
    if let back = context.register("ra") { return .redirect(back) }
    let ret = (try? insns("probe_leaf"))?.last { $0.name == "ret" }
    return .redirect(ret?.address ?? 0)
  }

  func refusal(_ place: KernelPlace) -> ProbeError? {
    do {
      _ = try probes.registerKprobe(KprobeRequest(place))
      return nil
    } catch { return error }
  }
}
