import Engine
import GuestKernel

// Kernel probes that are jumps: no trap, but a call of the handlers from a copy of the instructions.
//
// A probe begins as a break. Once it has been one for a while, its first bytes become a jump to its
// detour: code of the image's own template that saves a frame, calls the handlers through the gate,
// restores the registers and runs copies of the displaced instructions. The handlers' result and what
// they do to pc and sp have no effect then, as in Linux; whoever needs that adds a post handler, which
// keeps the break.
//
// Deviation: Linux optimises from a worker, behind a grace period of its tasks. Here it is done at a hit
// of any break: then the only kernel code under way is behind that break, and no task sleeps in what a
// jump covers, for no call may be among it.
//
// - SeeAlso: Linux, `kernel/kprobes.c`, `optimize_kprobe`, `kprobe_optimizer`;
//   `arch/x86/kernel/kprobes/opt.c`

/// What a probe needs to be a jump.
struct KprobeDetour {
  /// Where the detour's code is.
  fileprivate(set) var buffer: UInt64
  /// Where in it the copies of instructions begin.
  fileprivate(set) var copies: UInt64
  /// The text that they are copies of: whole instructions.
  fileprivate(set) var original: [UInt8]
  /// From when on it may become a jump; `nil` where it is not to.
  fileprivate(set) var due: UInt64?
  /// Whether it is one.
  fileprivate(set) var isJump = false

  /// Whether a hit of the break goes on in the detour (`KPROBE_FLAG_OPTIMIZED`).
  var isTaken: Bool { isJump || due != nil }
}

extension KprobeDetour: Archived {
  static func placeholder(_ a: Archive) -> KprobeDetour {
    KprobeDetour(buffer: 0, copies: 0, original: [])
  }
  mutating func archive(_ a: Archive) {
    a("buffer", &buffer)
    a("copies", &copies)
    a("original", &original)
    a("due", &due)
    a("isJump", &isJump)
  }
}

extension KprobeMachine {
  /// How long a probe is a break at least: five ticks of 4 ms (`OPTIMIZE_DELAY`).
  private static let delay: UInt64 = 20_000_000

  /// Has probes become jumps, or be breaks again (`sysctl debug.kprobes-optimization`).
  func setOptimising(_ on: Bool) {
    isOptimising = on
    for point in points.values {
      if on { offer(point) } else { withdraw(point) }
    }
  }

  /// Those that wait for their time need not any longer (`wait_for_kprobe_optimizer`).
  func hurryOptimiser() {
    for point in points.values where point.detour?.due != nil { point.detour?.due = kernel.now }
    nextDue = points.values.compactMap { $0.detour?.due }.min() ?? .max
  }

  // MARK: Which

  /// Queues a probe that can be a jump.
  func offer(_ point: KprobePoint) {
    guard isOptimising, point.isArmed, !point.needsTrap, legacy.isEmpty, prepareDetour(point),
      let detour = point.detour, !detour.isTaken
    else { return }
    for at in 1..<UInt64(detour.original.count) where points[point.address &+ at]?.isArmed == true {
      return
    }
    let due = kernel.now &+ Self.delay
    point.detour?.due = due
    nextDue = min(nextDue, due)
  }

  /// Offers the probes again whose jump would cover an address.
  func offer(around address: UInt64) { covering(address).forEach(offer) }

  /// Makes breaks again of the jumps that cover an address behind their first byte.
  func withdraw(around address: UInt64) { covering(address).forEach(withdraw) }

  private func covering(_ address: UInt64) -> [KprobePoint] {
    guard isa.detours != nil else { return [] }
    return (1..<UInt64(longestDetour)).compactMap { points[address &- $0] }
      .filter { address &- $0.address < UInt64($0.detour?.original.count ?? 0) }
  }

  /// Most bytes of text that a jump covers.
  var longestDetour: Int { (isa.detours?.jumpLength ?? 1) - 1 + isa.maxInsnLength }

  /// - SeeAlso: Linux, `arch/x86/kernel/kprobes/opt.c`, `can_optimize`,
  ///   `copy_optimized_instructions`, `arch_prepare_optimized_kprobe`
  private func prepareDetour(_ point: KprobePoint) -> Bool {
    if point.detour != nil { return true }
    guard !point.isNoDetour else { return false }
    // Asked once.
    point.isNoDetour = true
    guard let detours = isa.detours, let template = template(), canBeJump(point, detours),
      let buffer = detourSlots.allocate()
    else { return false }
    guard
      let (image, copies, original) = detour(of: point, at: buffer, template, detours),
      image.count <= detours.detourSize, patch(buffer, image)
    else {
      detourSlots.release(buffer, inUse: false)
      return false
    }
    point.isNoDetour = false
    point.detour = KprobeDetour(buffer: buffer, copies: copies, original: original)
    return true
  }

  /// Whether nothing but the function's own code, from the beginning of an instruction that stays one,
  /// comes to where the jump would be.
  private func canBeJump(_ point: KprobePoint, _ detours: any DetourISA) -> Bool {
    guard let symbol = kernel.image?.elf.symbols.symbol(at: point.address)?.symbol else {
      return false
    }
    let length = UInt64(detours.jumpLength)
    let end = symbol.address &+ symbol.size
    guard point.address < end, end &- point.address >= length else { return false }
    var at = symbol.address
    while at < end {
      // What mends a fault there jumps into this function.
      if exceptionTable.contains(at) { return false }
      let bytes = original(at)
      guard let own = isa.length(bytes), own > 0, !isa.isBreakpoint(bytes) else { return false }
      switch detours.flow(bytes, at: at) {
      case .anywhere: return false
      case .jump(let target) where target &- point.address &- 1 < length: return false
      case .jump, .next: break
      }
      at &+= UInt64(own)
    }
    return true
  }

  /// The image's template, and where its gaps are.
  private struct Template {
    var bytes: [UInt8]
    var argument: Int
    var call: Int
    var callback: UInt64
  }

  private func template() -> Template? {
    guard let start = kernel.symbol("optprobe_template_entry"),
      let argument = kernel.symbol("optprobe_template_val"),
      let call = kernel.symbol("optprobe_template_call"),
      let end = kernel.symbol("optprobe_template_end"),
      let callback = kernel.symbol("optimized_callback"),
      start <= argument, argument < call, call < end, end &- start <= 4096,
      let bytes = kernel.readKernel(start, Int(end &- start))
    else { return nil }
    return Template(
      bytes: bytes, argument: Int(argument &- start), call: Int(call &- start),
      callback: callback)
  }

  private func detour(
    of point: KprobePoint, at buffer: UInt64, _ template: Template, _ detours: any DetourISA
  ) -> (image: [UInt8], copies: UInt64, original: [UInt8])? {
    var image = template.bytes
    func fill(_ bytes: [UInt8], _ offset: Int) {
      image.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }
    let call = buffer &+ UInt64(template.call)
    guard let calls = detours.call(from: call, to: template.callback) else { return nil }
    fill(detours.setFirstArgument(point.address), template.argument)
    fill(calls, template.call)
    var covered: [UInt8] = []
    while covered.count < detours.jumpLength {
      let at = point.address &+ UInt64(covered.count)
      guard let insn = isa.classify(original(at), .kernel),
        let copy = detours.detachedCopy(insn, from: at, to: buffer &+ UInt64(image.count))
      else { return nil }
      covered += insn.bytes
      image += copy
    }
    let end = buffer &+ UInt64(image.count)
    guard
      let back = detours.jump(from: end, to: point.address &+ UInt64(covered.count)),
      detours.jump(from: point.address, to: buffer) != nil
    else { return nil }
    return (image + back, buffer &+ UInt64(template.bytes.count), covered)
  }

  // MARK: Patching

  /// Makes jumps of those whose time has come.
  func optimiseDue() {
    let now = kernel.now
    guard nextDue <= now else { return }
    let due = points.values.filter { $0.detour?.due.map { $0 <= now } ?? false }
    for point in due.sorted(by: { $0.address < $1.address }) { becomeJump(point) }
    nextDue = points.values.compactMap { $0.detour?.due }.min() ?? .max
  }

  /// The break first, then what is behind it, the first byte last: whoever fetches meanwhile finds the
  /// break or the whole jump.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/alternative.c`, `text_poke_bp_batch`
  private func becomeJump(_ point: KprobePoint) {
    guard point.isArmed, let detour = point.detour, !detour.isJump,
      let jump = isa.detours?.jump(from: point.address, to: detour.buffer)
    else { return }
    point.detour?.due = nil
    point.detour?.isJump = true
    _ = patch(point.address, isa.breakpoint(.kprobe, over: point.insn.length))
    _ = patch(point.address &+ 1, Array(jump[1...]))
    _ = patch(point.address, [jump[0]])
  }

  /// The break first, then what was behind it: it is a break again, whatever is to become of it.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/kprobes/opt.c`, `arch_unoptimize_kprobe`
  func withdraw(_ point: KprobePoint) {
    guard let detour = point.detour, detour.isTaken else { return }
    point.detour?.due = nil
    guard detour.isJump, let length = isa.detours?.jumpLength else { return }
    point.detour?.isJump = false
    _ = patch(point.address, isa.breakpoint(.kprobe, over: point.insn.length))
    _ = patch(point.address &+ 1, Array(detour.original[1..<length]))
  }

  /// The probe is gone; so is its detour once nothing is in it.
  func releaseDetour(_ point: KprobePoint) {
    guard let detour = point.detour else { return }
    point.detour = nil
    detourSlots.release(detour.buffer, inUse: isServing || isAway)
  }

  // MARK: Hits

  /// Serves a probe that is a jump: its handlers, and nothing that they return.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/kprobes/opt.c`, `optimized_callback`
  func jumped(_ address: UInt64, _ context: ProbeContext) {
    guard let point = points[address] else { return }
    if isServing {
      for probe in point.probes { probe.nmissed &+= 1 }
      return
    }
    comeBack()
    serveJump(point, context)
    // The detour is still to be run to its end.
    isAway = true
  }
}
