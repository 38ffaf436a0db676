import Engine
import GuestKernel

// Call chains of programs, in which return probes leave no trace.
//
// - SeeAlso: Linux, `kernel/events/callchain.c`, `fixup_uretprobe_trampoline_entries`;
//   `arch/riscv/kernel/stacktrace.c`, `arch_stack_walk_user`

extension ProbeSubsystem {
  /// Most addresses of a call chain (`PERF_MAX_STACK_DEPTH`).
  public static let maxBacktrace = 127

  /// The calls that a program is in at a hit, by its frame pointers: the pc, where its function
  /// returns to, and so on.
  ///
  /// It ends where the program's frames do, or can't be read; a program without frame pointers has
  /// nothing to show behind the second address.
  ///
  /// - Parameters:
  ///   - context: the hit.
  ///   - limit: most addresses.
  /// - Returns: the addresses, the innermost first.
  public func userBacktrace(
    _ context: ProbeContext, limit: Int = ProbeSubsystem.maxBacktrace
  ) -> [UInt64] {
    guard context.isUser, let task = context.task, limit > 0 else { return [] }
    func word(_ va: UInt64) -> UInt64? { context.readUser(va, 8)?.load64(0) }
    var chain = [context.pc]
    // At a function's first instruction there is no frame yet: it returns where the ABI says.
    if context.pc == context.function, !context.isReturn,
      let back = isa.returnAddress(UnsafeRawPointer(context.frame), load: word)
    {
      chain.append(back)
    }
    let record = isa.frameRecord
    var fp = context.load(record.framePointer)
    while chain.count < limit, fp % 8 == 0, fp != 0, fp < kernel.isa.userEnd,
      let back = word(fp &+ UInt64(bitPattern: Int64(record.returnAddress))), back != 0,
      let caller = word(fp &+ UInt64(bitPattern: Int64(record.previous)))
    {
      chain.append(back)
      // Frames of callers are further up: anything else is no chain of frames.
      guard caller > fp else { break }
      fp = caller
    }
    return translated(Array(chain.prefix(limit)), of: task)
  }

  /// A call chain, the innermost address first, in which each address of the trampoline is replaced
  /// by the one that a return probe put it over.
  ///
  /// Deviation: calls that tail calls share a return with count once; Linux counts each, and is wrong
  /// about what is further out.
  public func translated(_ chain: [UInt64], of task: Task) -> [UInt64] {
    guard let utask = task.probeState as? UprobeTask,
      let area = (task.space?.probeState as? UprobeSpace)?.area
    else { return chain }
    var calls = utask.calls[...]
    return chain.map { address in
      guard address == area.base, let last = calls.last else { return address }
      while let call = calls.popLast(), call.isChained {}
      return last.returnAddress
    }
  }
}
