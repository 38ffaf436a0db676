import Engine
import GuestKernel

/// Probes of programs.
///
/// - SeeAlso: Linux, `kernel/events/uprobes.c`
final class UprobeMachine {
  let kernel: Kernel
  let isa: any ProbeISA

  init(kernel: Kernel, isa: any ProbeISA) {
    self.kernel = kernel
    self.isa = isa
  }

  func register(_ request: UprobeRequest) throws(ProbeError) -> Uprobe {
    throw ProbeError(.EOPNOTSUPP, "not yet")
  }
  func unregister(_ probe: Uprobe) {}
  func setEnabled(_ probe: Uprobe, _ enabled: Bool) throws(ProbeError) {}
  func check(_ file: ProbedFile, _ offset: UInt64) throws(ProbeError) -> ProbedInsn {
    throw ProbeError(.EOPNOTSUPP, "not yet")
  }
  func trapped(_ task: Task, _ context: ProbeContext) -> GateReply? { nil }
  func abort(_ task: Task, _ frame: UnsafeMutableRawPointer) {}
  func holdsSignals(_ task: Task, _ frame: UnsafeMutableRawPointer) -> Bool { false }
  func executed(_ task: Task) {}
  func cloned(_ parent: Task, _ child: Task) {}
  func releasing(_ task: Task) {}
  func mapped(_ space: AddressSpace, _ start: UInt64, _ end: UInt64) {}
}
