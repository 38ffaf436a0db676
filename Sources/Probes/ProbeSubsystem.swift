import Engine
import GuestKernel

/// The probes of one kernel: registration, and what happens when one is hit.
///
/// - SeeAlso: Linux, `kernel/kprobes.c`, `kernel/events/uprobes.c`
public final class ProbeSubsystem {
  /// The kernel.
  public let kernel: Kernel
  /// What must be known of the instruction set.
  public let isa: any ProbeISA

  /// Probes for `kernel`, which asks this object about its traps from now on.
  ///
  /// The kernel keeps it alive.
  public init(kernel: Kernel, isa: any ProbeISA) {
    self.kernel = kernel
    self.isa = isa
  }

  // MARK: Registration

  /// Registers a kernel probe.
  public func registerKprobe(_ request: KprobeRequest) throws(ProbeError) -> Kprobe {
    throw ProbeError(.EOPNOTSUPP, "not yet")
  }

  /// Registers a return probe of the kernel.
  public func registerKretprobe(_ request: KretprobeRequest) throws(ProbeError) -> Kretprobe {
    throw ProbeError(.EOPNOTSUPP, "not yet")
  }

  /// Registers a probe of a program; with ``UprobeRequest/ret`` a return probe.
  public func registerUprobe(_ request: UprobeRequest) throws(ProbeError) -> Uprobe {
    throw ProbeError(.EOPNOTSUPP, "not yet")
  }

  /// Registers a return probe of a program.
  public func registerUretprobe(
    _ file: ProbedFile, offset: UInt64, ret: @escaping (ProbeContext) -> Void
  ) throws(ProbeError) -> Uprobe {
    try registerUprobe(UprobeRequest(file, offset: offset, ret: ret))
  }

  /// Takes a probe away; what it hit last goes on undisturbed.
  public func unregister(_ probe: Kprobe) {}
  /// Takes a return probe away; calls under way return as they should, without its handler.
  public func unregister(_ probe: Kretprobe) {}
  /// Takes a program's probe away.
  public func unregister(_ probe: Uprobe) {}

  /// Has the handlers run, or not; the text is restored where no probe of an address is enabled.
  public func setEnabled(_ probe: Kprobe, _ enabled: Bool) throws(ProbeError) {}
  /// Has the handlers run, or not.
  public func setEnabled(_ probe: Kretprobe, _ enabled: Bool) throws(ProbeError) {}
  /// Has the handlers run, or not.
  public func setEnabled(_ probe: Uprobe, _ enabled: Bool) throws(ProbeError) {}

  /// What a probe at a place of the kernel would be told, without one: the class of its instruction,
  /// or why none may be there.
  public func checkKprobe(_ place: KernelPlace) throws(ProbeError) -> ProbedInsn {
    throw ProbeError(.EOPNOTSUPP, "not yet")
  }

  /// What a probe at an offset of a file would be told.
  public func checkUprobe(_ file: ProbedFile, offset: UInt64) throws(ProbeError) -> ProbedInsn {
    throw ProbeError(.EOPNOTSUPP, "not yet")
  }
}
