import Engine
import GuestKernel

// Return probes of programs.
//
// - SeeAlso: Linux, `kernel/events/uprobes.c`, `prepare_uretprobe`, `handle_trampoline`

extension UprobeMachine {
  /// Has the function that is entered return to the trampoline.
  func expectReturn(
    _ point: UprobePoint, _ va: UInt64, _ task: Task, _ utask: UprobeTask, _ context: ProbeContext,
    _ data: [ObjectIdentifier: AnyObject]
  ) {
    func miss() {
      for consumer in point.consumers where consumer.ret != nil { consumer.nmissed &+= 1 }
    }
    guard utask.calls.count < Self.maxDepth, let space = task.space, let area = area(of: space)
    else { return miss() }
    let load: (UInt64) -> UInt64? = { context.readUser($0, 8)?.load64(0) }
    guard var back = isa.returnAddress(UnsafeRawPointer(context.frame), load: load) else {
      return miss()
    }
    let isBlind = legacy.contains(.returnsAreLIFO)
    let isChained = back == area.base && !isBlind
    while !isBlind, let last = utask.calls.last,
      !isa.isFrameAlive(then: last.sp, now: context.sp, isChained ? .chainCall : .call)
    {
      utask.calls.removeLast()
    }
    if isChained {
      // Nobody is awaited, and yet the trampoline is the caller: the stack is not what it was.
      guard let last = utask.calls.last else { return miss() }
      back = last.returnAddress
    }
    let store: (UInt64, UInt64) -> Bool = { address, value in
      var bytes = [UInt8](repeating: 0, count: 8)
      bytes.store64(0, value)
      return context.writeUser(address, bytes)
    }
    guard isa.setReturnAddress(context.frame, area.base, store: store) else { return miss() }
    utask.calls.append(
      UretprobeCall(
        point: point, function: va, sp: context.sp, returnAddress: back, isChained: isChained,
        data: data))
  }

  /// A function has returned to the trampoline, or something jumped there.
  func returned(_ task: Task, _ utask: UprobeTask, _ context: ProbeContext) -> GateReply {
    guard !utask.calls.isEmpty else {
      kernel.force(.kernel(Signal.SIGILL), task)
      return GateReply()
    }
    context.isReturn = true
    if utask.calls.count == 1, !legacy.contains(.returnRegsAreIncomplete),
      let call = utask.calls.popLast()
    {
      // The outermost is valid whatever the stack pointer.
      context.pc = call.returnAddress
      context.returnAddress = call.returnAddress
      report(call, context)
      return GateReply()
    }
    var isValid = false
    while !isValid, let last = utask.calls.last {
      // One return ends all of a chain of tail calls.
      var first = utask.calls.count - 1
      while first > 0, utask.calls[first].isChained { first -= 1 }
      isValid =
        first == 0 || legacy.contains(.returnsAreLIFO)
        || isa.isFrameAlive(then: utask.calls[first - 1].sp, now: context.sp, .ret)
      let done = utask.calls[first...].reversed()
      utask.calls.removeSubrange(first...)
      context.pc = last.returnAddress
      context.returnAddress = last.returnAddress
      // Frames that longjmp left have no return.
      guard isValid else { continue }
      let sp = context.sp
      if legacy.contains(.returnRegsAreIncomplete) { (context.sp, context.pc) = (0, 0) }
      for call in done { report(call, context) }
      if legacy.contains(.returnRegsAreIncomplete) {
        (context.sp, context.pc) = (sp, last.returnAddress)
      }
    }
    return GateReply()
  }

  /// Those who joined since the entry are told too, and those who left are not.
  ///
  /// - SeeAlso: Linux, `kernel/events/uprobes.c`, `handle_uretprobe_chain`
  private func report(_ call: UretprobeCall, _ context: ProbeContext) {
    context.function = call.function
    for consumer in call.point.consumers
    where consumer.isEnabled && consumer.isRegistered && consumer.ret != nil {
      context.data = call.data[ObjectIdentifier(consumer)]
      consumer.hits &+= 1
      consumer.ret?(context)
    }
  }
}
