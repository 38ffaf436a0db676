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
  var insn: Insn?
  var length: UInt64 { UInt64(bytes.count) }
  var description: String { "\(String(address, radix: 16)) \(String(describing: insn?.op))" }
}

extension Rig {
  static let allRight = ProgramExit.ended(.exited(0))
  /// More than any of these runs needs.
  static let enough: UInt64 = 3_000_000

  /// A machine whose program calls the kernel's probe targets ten times, without any probe: it exits
  /// with ten times the number of wrong results.
  static func targets(
    _ legacy: LegacyPolicies = [], _ model: CacheModel = .coherent
  ) throws -> Rig {
    let rig = try Rig("probes.elf", ["k"], cacheModel: model)
    rig.probes.legacy = legacy
    let from = try rig.symbol("__riscv_sys_getpid")
    let distance = try rig.symbol("run_probe_targets") &- from
    #expect(rig.machine.kernel.writeKernel(from, Self.jump(Int64(bitPattern: distance))))
    return rig
  }

  /// `j distance`.
  static func jump(_ distance: Int64) -> [UInt8] {
    let d = UInt32(truncatingIfNeeded: distance)
    let bits =
      (d >> 20 & 1) << 31 | (d >> 1 & 0x3ff) << 21 | (d >> 11 & 1) << 20 | (d >> 12 & 0xff) << 12
      | 0x6f
    return (0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) }
  }

  func symbol(_ name: String) throws -> UInt64 { try #require(machine.kernel.symbol(name)) }

  func text(_ address: UInt64, _ count: Int = 4) -> [UInt8] {
    machine.kernel.readKernel(address, count) ?? []
  }

  /// The instructions from a symbol up to another one, or up to the function's end.
  func insns(_ first: String, to last: String? = nil) throws -> [KernelInsn] {
    var at = try symbol(first)
    let image = try #require(machine.kernel.image)
    let end = try last.map(symbol)
    var found: [KernelInsn] = []
    while end.map({ at < $0 }) ?? (image.symbol(at: at)?.name == first) {
      let bits = text(at).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      let length = bits & 3 == 3 ? 4 : 2
      found.append(
        KernelInsn(address: at, bytes: text(at, length), insn: Decoder.decode(bits)))
      at &+= UInt64(length)
    }
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
    let (_, block) = kernel.stackOwner(context.regsVA)
    let at = (context.regsVA &- block > 8192 ? block &+ 8192 : context.regsVA) &- size
    var frame = context.regs
    frame.store64(kernel.isa.ptRegs.pc, address)
    kernel.writeKernel(at, frame)
    guard kernel.askHooks(at, address: nil, cause: 3) != nil else { return false }
    guard var after = kernel.readKernel(at, Int(size)) else { return false }
    let pc = after.load64(kernel.isa.ptRegs.pc)
    guard slots.contains(pc) else { return true }
    after.store64(kernel.isa.ptRegs.pc, pc &+ (text(pc)[0] & 3 == 3 ? 4 : 2))
    kernel.writeKernel(at, after)
    return kernel.askHooks(at, address: nil, cause: 3) != nil
  }

  @discardableResult
  func kprobe(
    _ symbol: String, _ offset: UInt64 = 0, pre: ((ProbeContext) -> ProbeAction)? = nil,
    post: ((ProbeContext) -> Void)? = nil
  ) throws(ProbeError) -> Kprobe {
    try probes.registerKprobe(
      KprobeRequest(.symbol(symbol, offset: offset), pre: pre, post: post))
  }

  func refusal(_ place: KernelPlace) -> ProbeError? {
    do {
      _ = try probes.registerKprobe(KprobeRequest(place))
      return nil
    } catch { return error }
  }
}
