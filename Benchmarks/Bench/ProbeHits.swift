import ArgumentParser
import Engine
import GuestKernel
import Image
import Machine
import NativeProbes
import Probes
import RISCV

/// Hits of probes with an empty handler, the whole path: break, the guest's entry code, handler,
/// slot, the break behind it, and on.
struct ProbeHits {
  let image: String

  /// The world of a benchmark's guest: silent.
  private final class Silence: HostServices {
    func consoleRead(_ count: Int) -> ConsoleInput { .end }
    func consoleWrite(_ bytes: [UInt8], stream: Int) -> Errno? { nil }
    func randomBytes(_ count: Int) -> [UInt8] { Array(repeating: 7, count: max(count, 0)) }
    var startOfRun: UInt64 { 1_700_000_000_000_000_000 }
    func hostStat(_ path: String) -> HostNode? { nil }
    func hostList(_ path: String) -> [String]? { nil }
    func hostRead(_ path: String, offset: UInt64, count: Int) -> [UInt8]? { nil }
  }

  /// What is measured.
  enum Kind: String, CaseIterable {
    case uprobe = "uprobe, out of line"
    case simulatedUprobe = "uprobe, simulated"
    case uretprobe
    case kprobe = "kprobe, out of line"
    case simulatedKprobe = "kprobe, simulated"
    case kretprobe

    var isOfKernel: Bool { [.kprobe, .simulatedKprobe, .kretprobe].contains(self) }
    /// The class of instruction that is probed; `nil`: the function's return.
    var verdict: ProbeVerdict? {
      switch self {
      case .uprobe, .kprobe: .outOfLine
      case .simulatedUprobe, .simulatedKprobe: .simulate
      case .uretprobe, .kretprobe: nil
      }
    }
  }

  /// What one run took.
  struct Run {
    var seconds: Double
    var hits: UInt64
  }

  private static let path = "/selftest"
  private static let inKernel = "probe_leaf"

  /// A machine with the image's loop in it: of the program, or in the kernel in place of `getpid`.
  private final class Rig {
    let host = Silence()
    let machine: ProgramMachine
    let probes: ProbeSubsystem
    let elf: ELFFile

    init(_ bytes: [UInt8], kernel: Bool, count: Int) throws {
      var configuration = ProgramConfiguration()
      configuration.memory = 64 << 20
      machine = try ProgramMachine(configuration, host: host) { false }
      probes = ProbeSubsystem(kernel: machine.kernel, isa: RISCVProbeISA())
      elf = try ELFFile(bytes)
      try machine.kernel.vfs.installProgram(Path(ProbeHits.path), HostBytes(bytes))
      let arguments = ["selftest", kernel ? "k" : "h", "\(count)"]
      try machine.start(
        BootRequest(
          path: Array(ProbeHits.path.utf8), arguments: arguments.map { Array($0.utf8) }))
      guard kernel, let entry = machine.kernel.symbol("run_probe_targets") else { return }
      _ = try probes.registerKprobe(
        KprobeRequest(.symbol("__do_sys_getpid"), pre: { _ in .redirect(entry) }))
    }

    func run() throws -> Double {
      let start = cpuSeconds()
      let exit = machine.run()
      let seconds = cpuSeconds() - start
      guard exit == .ended(.exited(0)) else { throw BenchFailure("the guest ended with \(exit)") }
      return seconds
    }

    /// Where the loop's function is: in the program's file, or in the kernel.
    func function(_ kind: Kind) throws -> (start: UInt64, size: UInt64) {
      let symbols = kind.isOfKernel ? machine.kernel.image?.elf.symbols : elf.symbols
      guard let found = symbols?.symbol(kind.isOfKernel ? ProbeHits.inKernel : "leaf"),
        let offset = kind.isOfKernel
          ? found.address
          : elf.header.loadable.first(where: {
            found.address &- $0.address < $0.fileSize
          }).map({ $0.offset &+ (found.address &- $0.address) })
      else { throw BenchFailure("the image has no loop to probe") }
      return (offset, found.size)
    }
  }

  /// The instruction of a class that is run most often.
  private func place(_ kind: Kind, _ bytes: [UInt8]) throws -> UInt64 {
    let rig = try Rig(bytes, kernel: kind.isOfKernel, count: 1)
    let (start, size) = try rig.function(kind)
    var hits: [(place: UInt64, hits: () -> UInt64)] = []
    for at in stride(from: start, to: start &+ size, by: 2) {
      if kind.isOfKernel {
        guard let probe = try? rig.probes.registerKprobe(KprobeRequest(.address(at))) else {
          continue
        }
        if rig.probes.insn(of: probe)?.verdict == kind.verdict { hits.append((at, { probe.hits })) }
      } else {
        guard (try? rig.probes.checkUprobe(.path(Self.path), offset: at))?.verdict == kind.verdict,
          isBoundary(rig, start, at)
        else { continue }
        let probe = try rig.probes.registerUprobe(
          UprobeRequest(.path(Self.path), offset: at, entry: { _ in .continue }))
        hits.append((at, { probe.hits }))
      }
    }
    _ = try rig.run()
    guard let best = hits.max(by: { $0.hits() < $1.hits() }), best.hits() > 50 else {
      throw BenchFailure("no \(kind.rawValue) place in the loop")
    }
    return best.place
  }

  private func isBoundary(_ rig: Rig, _ start: UInt64, _ at: UInt64) -> Bool {
    var here = start
    while here < at {
      let bytes = Array(rig.elf.bytes[Int(here)...].prefix(rig.probes.isa.maxInsnLength))
      guard let length = rig.probes.isa.length(bytes) else { return false }
      here &+= UInt64(length)
    }
    return here == at
  }

  /// Runs the loop `count` times with a probe of a kind.
  func run(_ kind: Kind, count: Int) throws -> Run {
    let bytes = try Host.contents(of: image)
    let place = kind.verdict == nil ? nil : try place(kind, bytes)
    let rig = try Rig(bytes, kernel: kind.isOfKernel, count: count)
    let entry = try rig.function(kind).start
    let hits: () -> UInt64
    switch kind {
    case .uprobe, .simulatedUprobe:
      let probe = try rig.probes.registerUprobe(
        UprobeRequest(.path(Self.path), offset: place ?? entry, entry: { _ in .continue }))
      hits = { probe.hits }
    case .uretprobe:
      let probe = try rig.probes.registerUretprobe(.path(Self.path), offset: entry) { _ in }
      hits = { probe.hits }
    case .kprobe, .simulatedKprobe:
      let probe = try rig.probes.registerKprobe(
        KprobeRequest(.address(place ?? entry), pre: { _ in .continue }))
      hits = { probe.hits }
    case .kretprobe:
      let probe = try rig.probes.registerKretprobe(
        KretprobeRequest(.symbol("kretprobe_target"), ret: { _ in }))
      hits = { probe.hits }
    }
    let seconds = try rig.run()
    return Run(seconds: seconds, hits: hits())
  }

  /// Runs a loop `count` times, without a probe or with two that are never hit.
  func runUnhit(count: Int, idle: Bool, kernel: Bool = false) throws -> Double {
    let rig = try Rig(try Host.contents(of: image), kernel: kernel, count: count)
    if idle {
      guard let mean = rig.elf.symbols.symbol("mean"),
        let segment = rig.elf.header.loadable.first(where: {
          mean.address &- $0.address < $0.fileSize
        })
      else { throw BenchFailure("the image has no function 'mean'") }
      _ = try rig.probes.registerUprobe(
        UprobeRequest(
          .path(Self.path), offset: segment.offset &+ (mean.address &- segment.address),
          entry: { _ in .continue }))
      _ = try rig.probes.registerKprobe(KprobeRequest(.symbol("do_sys_openat2")))
    }
    return try rig.run()
  }

  // MARK: Peers

  /// Hits a second of a break that a debugger steps over with ptrace on this host; `nil`: refused.
  static func ptrace(count: Int) -> Double? {
    let seconds = native_ptrace_hits(count)
    return seconds > 0 ? Double(count) / seconds : nil
  }

  /// Hits a second of a Linux uprobe on this host that counts; `nil`: refused.
  static func nativeUprobe(count: Int) -> Double? {
    let bare = native_uprobe_hits(count, 0)
    let seconds = native_uprobe_hits(count, 1)
    return seconds > bare && bare >= 0 ? Double(count) / (seconds - bare) : nil
  }
}

/// Why a benchmark can't be done, in one line.
struct BenchFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

extension Bench {
  /// Hits a second beside ptrace and native uprobes of this host; and what an idle probe costs.
  func measureProbes() throws {
    let image = "\(images)/selftest.elf"
    let bench = ProbeHits(image: image)
    printLine(
      "probe hits (\(image)): millions a CPU second, empty handler, whole path, less the same run without"
    )
    printLine(wide("", "M/s", "spread", "x ptrace", "x native uprobe"))
    var ptrace = Series()
    var native = Series()
    for _ in 0..<runs {
      if let rate = ProbeHits.ptrace(count: 20_000) { ptrace.values.append(rate / 1e6) }
      if let rate = ProbeHits.nativeUprobe(count: 200_000) { native.values.append(rate / 1e6) }
    }
    func ratio(_ mine: Double, _ peer: Series) -> String {
      peer.values.isEmpty ? "-" : text(mine / peer.median, 1)
    }
    do {
      for kind in ProbeHits.Kind.allCases {
        var rates = Series()
        let count = kind.isOfKernel ? 4_000 : 8_000
        for _ in 0..<runs {
          let run = try bench.run(kind, count: count)
          let bare = try bench.runUnhit(count: count, idle: false, kernel: kind.isOfKernel)
          rates.values.append(Double(run.hits) / max(run.seconds - bare, 1e-9) / 1e6)
        }
        printLine(
          wide(
            kind.rawValue, text(rates.median, 3), rates.spread, ratio(rates.median, ptrace),
            ratio(rates.median, native)))
      }
      for (name, peer) in [("host: ptrace", ptrace), ("host: uprobe", native)] {
        printLine(
          wide(
            name, peer.values.isEmpty ? "refused" : text(peer.median, 3), peer.spread, "", ""))
      }
      var without = Series()
      var with = Series()
      for _ in 0..<runs {
        without.values.append(try bench.runUnhit(count: 200_000, idle: false))
        with.values.append(try bench.runUnhit(count: 200_000, idle: true))
      }
      printLine("a program with an idle uprobe and an idle kprobe: CPU seconds")
      printLine(wide("", "seconds", "spread", "ratio", ""))
      printLine(wide("no probe", text(without.median, 3), without.spread, "", ""))
      printLine(
        wide(
          "idle probes", text(with.median, 3), with.spread,
          text(without.median / with.median, 3), ""))
    } catch {
      printLine("emu-bench: \(error)")
      throw ExitCode(1)
    }
    printLine("")
  }

  private func wide(_ cells: String...) -> String {
    cells.enumerated().map { index, cell in
      let width = index == 0 ? 20 : 15
      let space = String(repeating: " ", count: max(width - cell.count, 0))
      return index == 0 ? cell + space : space + cell
    }.joined(separator: " ")
  }
}
