import Engine
import GuestKernel

/// A call whose return is awaited (`struct kretprobe_instance`).
final class KretprobeCall: Archivable {
  /// `nil` once the probe was unregistered.
  var probe: Kretprobe?
  private(set) var function: UInt64
  private(set) var returnAddress: UInt64
  /// The stack pointer at the function's entry.
  private(set) var sp: UInt64
  var data: AnyObject?

  init(
    _ probe: Kretprobe, function: UInt64, returnAddress: UInt64, sp: UInt64, data: AnyObject?
  ) {
    self.probe = probe
    self.function = function
    self.returnAddress = returnAddress
    self.sp = sp
    self.data = data
  }

  init(placeholderFor a: Archive) { (function, returnAddress, sp) = (0, 0, 0) }

  func archive(_ a: Archive) {
    var object: AnyObject? = probe
    a.external("probe", &object)
    if a.isReading { probe = object as? Kretprobe }
    a("function", &function)
    a("returnAddress", &returnAddress)
    a("sp", &sp)
    a.any("data", &data)
  }
}

// Return probes of the kernel: the return address is replaced at the entry by that of a break.
//
// Deviation: on riscv and loongarch Linux returns to assembly code that saves all registers; a break
// does that here, with the same registers for the handler.
//
// Deviation: Linux takes it that kernel code never leaves a frame but by returning from it (a handler
// that redirects past one has the next return go astray). Here, as for programs, stack pointers tell
// which frames are gone; their calls are dropped without a handler.
//
// - SeeAlso: Linux, `kernel/kprobes.c`, `pre_handler_kretprobe`; `kernel/trace/rethook.c`

extension KprobeMachine {
  func register(_ request: KretprobeRequest) throws(ProbeError) -> Kretprobe {
    let checked = try check(request.place)
    guard checked.offset == 0 else {
      throw ProbeError(.EINVAL, "\(checked.symbol)+\(checked.offset) is not a function's entry")
    }
    try prepareTrampoline()
    let maxactive =
      request.maxactive > 0 ? min(request.maxactive, Int(EventLimits.maxActive)) : 10
    var request = request
    if legacy.contains(.callbacksDropped) { (request.entry, request.ret) = (nil, nil) }
    // The entry's handler needs the return probe, which needs the entry's probe.
    final class Box { unowned var probe: Kretprobe? }
    let box = Box()
    var entry = KprobeRequest(.address(checked.address))
    entry.isDisabled = request.isDisabled
    entry.pre = { [unowned self] context in
      if let probe = box.probe { entered(probe, context) }
      return .continue
    }
    let probe = Kretprobe(request, kprobe: try register(entry), maxactive: maxactive)
    box.probe = probe
    kretprobes[ObjectIdentifier(probe)] = probe
    return probe
  }

  func unregister(_ probe: Kretprobe) {
    unregister(probe.kprobe)
    // Calls under way find their probe gone.
    kretprobes[ObjectIdentifier(probe)] = nil
    for list in calls.values {
      for call in list where call.probe === probe { call.probe = nil }
    }
    probe.active = 0
  }

  private func entered(_ probe: Kretprobe, _ context: ProbeContext) {
    let key = callsKey(context)
    dropDead(key, sp: context.sp)
    guard probe.active < probe.maxactive else {
      probe.nmissed &+= 1
      return
    }
    let load: (UInt64) -> UInt64? = { context.readKernel($0, 8)?.load64(0) }
    guard let back = isa.returnAddress(UnsafeRawPointer(context.frame), load: load) else {
      probe.nmissed &+= 1
      return
    }
    context.data = nil
    context.returnAddress = back
    if let entry = probe.entry, !entry(context) { return }
    let store: (UInt64, UInt64) -> Bool = { address, value in
      var bytes = [UInt8](repeating: 0, count: 8)
      bytes.store64(0, value)
      return context.writeKernel(address, bytes)
    }
    guard isa.setReturnAddress(context.frame, trampoline, store: store) else {
      probe.nmissed &+= 1
      return
    }
    probe.active += 1
    calls[key, default: []].append(
      KretprobeCall(
        probe, function: context.function, returnAddress: back, sp: context.sp,
        data: context.data))
  }

  /// Whose list of calls it is: that of the stack.
  private func callsKey(_ context: ProbeContext) -> UInt64 {
    legacy.contains(.callsShared) ? 0 : context.stack
  }

  /// Forgets calls whose frames were left by something else than a return.
  ///
  /// One at the same stack pointer may be that of a tail call, and stays.
  private func dropDead(_ key: UInt64, sp: UInt64) {
    guard key != 0, let list = calls[key] else { return }
    let alive = list.lastIndex { isa.isFrameAlive(then: $0.sp, now: sp, .chainCall) }
    let live = alive.map { $0 + 1 } ?? 0
    guard live < list.count else { return }
    for call in list[live...] { call.probe?.active -= 1 }
    calls[key] = live == 0 ? nil : Array(list[..<live])
  }

  /// The call that is awaited, where there is but one and it is no tail call: whatever the stack
  /// pointer, it is the one that returns.
  private func only(_ key: UInt64) -> KretprobeCall? {
    guard let list = calls[key], list.count == 1, list[0].returnAddress != trampoline else {
      return nil
    }
    return list[0]
  }

  /// A probed function has returned to the trampoline.
  ///
  /// Calls above the first one that does not itself return to the trampoline have the same frame
  /// (tail calls, several probes): they return together, the newest first.
  ///
  /// - Returns: `false` where no call is known.
  func returned(_ context: ProbeContext) -> Bool {
    let key = callsKey(context)
    if let call = only(key) {
      calls[key] = nil
      context.isReturn = true
      context.returnAddress = call.returnAddress
      context.pc = call.returnAddress
      if !legacy.contains(.partialReturnFrame) {
        self.call(CollectionOfOne(call), context)
      } else {
        let kept = context.hideSystemRegisters()
        self.call(CollectionOfOne(call), context)
        context.restoreSystemRegisters(kept)
      }
      return true
    }
    guard var list = calls[key] else { return false }
    // The frames that end here or have been left. The outermost of them is the one that returns; of
    // several calls with its stack pointer that are no tail calls, the newest.
    var first = list.count
    while key != 0, first > 0,
      !isa.isFrameAlive(then: list[first - 1].sp, now: context.sp, .ret)
    {
      first -= 1
    }
    let sp = first < list.count ? list[first].sp : nil
    let ending = list.indices.last {
      $0 >= first && list[$0].sp == sp && list[$0].returnAddress != trampoline
    }
    // No frame ends here by its stack pointer: the newest call it is.
    guard let last = ending ?? list.lastIndex(where: { $0.returnAddress != trampoline }) else {
      return false
    }
    first = min(first, last)
    var end = last + 1
    while end < list.count, list[end].returnAddress == trampoline { end += 1 }
    for call in list[first..<last] + list[end...] { call.probe?.active -= 1 }
    let target = list[last].returnAddress
    let done = list[last..<end].reversed()
    list.removeSubrange(first...)
    calls[key] = list.isEmpty ? nil : list
    context.isReturn = true
    context.returnAddress = target
    context.pc = target
    if legacy.contains(.partialReturnFrame) {
      let kept = context.hideSystemRegisters()
      call(done, context)
      context.restoreSystemRegisters(kept)
    } else {
      call(done, context)
    }
    return true
  }

  private func call(_ done: some Sequence<KretprobeCall>, _ context: ProbeContext) {
    for call in done {
      guard let probe = call.probe else { continue }
      probe.active -= 1
      guard probe.isEnabled || legacy.contains(.disabledStillReturns) else { continue }
      context.function = call.function
      context.data = call.data
      probe.hits &+= 1
      probe.ret?(context)
    }
  }

  /// A task that has ended never returns from what it was in.
  func freed(stack va: UInt64) {
    for call in calls.removeValue(forKey: va) ?? [] { call.probe?.active -= 1 }
  }
}

extension ProbeContext {
  /// Zeroes what is no general register, and sp, as code that saves only some registers leaves it.
  ///
  /// - Returns: what was there.
  fileprivate func hideSystemRegisters() -> [(Int, UInt64)] {
    let general = Set((0..<64).compactMap(isa.registerOffset)).subtracting([kernel.isa.ptRegs.sp])
    let offsets = stride(from: 0, to: kernel.isa.ptRegs.size, by: 8)
      .filter { !general.contains($0) }
    let kept = offsets.map { ($0, load($0)) }
    for (offset, _) in kept { store(offset, 0) }
    return kept
  }

  fileprivate func restoreSystemRegisters(_ kept: [(Int, UInt64)]) {
    for (offset, value) in kept { store(offset, value) }
  }
}
