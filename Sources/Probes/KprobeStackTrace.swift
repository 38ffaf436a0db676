import Engine
import GuestKernel

// Stack traces: a frame whose function has a return probe holds the trampoline's address, where a
// reader wants that of the caller.
//
// - SeeAlso: Linux, `kernel/trace/rethook.c`, `rethook_find_ret_addr`;
//   `arch/riscv/kernel/stacktrace.c`, `walk_stackframe`

extension KprobeMachine {
  /// The true return addresses of a stack, the newest first: each in place of one trampoline.
  private func pending(_ stack: UInt64) -> [UInt64] {
    (calls[stack] ?? []).reversed().map(\.returnAddress).filter { $0 != trampoline }
  }

  /// Return addresses as they were found on one stack, the newest first, with those of the
  /// trampoline replaced.
  func translate(_ addresses: [UInt64], stack: UInt64) -> [UInt64] {
    guard trampolineIsReady else { return addresses }
    var pending = pending(stack)[...]
    return addresses.map { $0 == trampoline ? pending.popFirst() ?? $0 : $0 }
  }
}

extension ProbeSubsystem {
  /// Puts true return addresses in place of the return probes' trampoline.
  ///
  /// - Parameters:
  ///   - addresses: return addresses that were found on a kernel stack, the newest first.
  ///   - stack: any address on that stack.
  /// - Returns: them, with where the function really returns to for each trampoline; one for which
  ///   no call is known stays.
  public func translate(_ addresses: [UInt64], onStackOf stack: UInt64) -> [UInt64] {
    kprobes.translate(addresses, stack: kernel.stackOwner(stack).block)
  }

  /// Where a hit's function was called from, and so on outwards.
  ///
  /// It ends with a record that is misaligned, off the stack, or not above the one before. Kernel
  /// text without frame pointers has no records.
  ///
  /// - Parameters:
  ///   - context: the hit.
  ///   - limit: most addresses.
  /// - Returns: pc, then a return address for each frame record from the frame pointer on, as
  ///   ``translate(_:onStackOf:)`` gives them.
  public func stackTrace(_ context: ProbeContext, limit: Int = 64) -> [UInt64] {
    let (_, block) = kernel.stackOwner(context.sp)
    guard block != 0, limit > 0 else { return [context.pc] }
    let record = isa.frameRecord
    var found: [UInt64] = []
    var at = context.load(record.framePointer)
    var above = context.sp
    while found.count < limit - 1, at & 7 == 0, at >= above, at &- block <= TaskBlock.size,
      let back = kernel.readKernel(at &+ UInt64(bitPattern: Int64(record.returnAddress)), 8),
      let next = kernel.readKernel(at &+ UInt64(bitPattern: Int64(record.previous)), 8)
    {
      found.append(back.load64(0))
      (above, at) = (at &+ 8, next.load64(0))
    }
    return [context.pc] + kprobes.translate(found, stack: block)
  }
}
