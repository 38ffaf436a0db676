import Engine
import GuestKernel

/// A call whose return is awaited (`struct kretprobe_instance`).
final class KretprobeCall {
  /// `nil` once the probe was unregistered.
  weak var probe: Kretprobe?
  let function: UInt64
  let returnAddress: UInt64
  var data: AnyObject?

  init(_ probe: Kretprobe, function: UInt64, returnAddress: UInt64, data: AnyObject?) {
    self.probe = probe
    self.function = function
    self.returnAddress = returnAddress
    self.data = data
  }
}

// Return probes of the kernel: the return address is replaced at the entry by that of a break.
//
// Deviation: on riscv and loongarch Linux returns to assembly code that saves all registers; a break
// does that here, with the same registers for the handler.
//
// - SeeAlso: Linux, `kernel/kprobes.c`, `pre_handler_kretprobe`; `kernel/trace/rethook.c`

extension KprobeMachine {
  func register(_ request: KretprobeRequest) throws(ProbeError) -> Kretprobe {
    let checked = try check(request.place)
    guard checked.offset == 0 else {
      throw ProbeError(.EINVAL, "\(checked.symbol)+\(checked.offset) is not a function's entry")
    }
    try prepareTrampoline()
    let maxactive = request.maxactive > 0 ? min(request.maxactive, 4096) : 10
    // The entry's handler needs the return probe, which needs the entry's probe.
    final class Box { weak var probe: Kretprobe? }
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
    calls[context.stack, default: []].append(
      KretprobeCall(
        probe, function: context.function, returnAddress: back, data: context.data))
  }

  /// A probed function has returned to the trampoline.
  ///
  /// Calls above the first one that does not itself return to the trampoline have the same frame
  /// (tail calls, several probes): they return together, the newest first.
  ///
  /// - Returns: `false` where no call is known.
  func returned(_ context: ProbeContext) -> Bool {
    let key = context.stack
    guard var list = calls[key],
      let last = list.lastIndex(where: { $0.returnAddress != trampoline })
    else { return false }
    let target = list[last].returnAddress
    let done = list[last...].reversed()
    list.removeSubrange(last...)
    calls[key] = list.isEmpty ? nil : list
    context.isReturn = true
    context.returnAddress = target
    context.pc = target
    for call in done {
      guard let probe = call.probe else { continue }
      probe.active -= 1
      guard probe.isEnabled else { continue }
      context.function = call.function
      context.data = call.data
      probe.hits &+= 1
      probe.ret?(context)
    }
    return true
  }

  /// A task that has ended never returns from what it was in.
  func freed(stack va: UInt64) {
    for call in calls.removeValue(forKey: va) ?? [] { call.probe?.active -= 1 }
  }
}
