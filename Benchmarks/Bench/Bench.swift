import ArgumentParser
import Engine
import Glibc
import Machine

/// Measures `emu` beside QEMU on the same binaries in the same run and prints tables of ratios.
@main
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "emu-bench",
    abstract: "Measure emu beside QEMU on the same binaries, in the same run.",
    discussion: """
      EXAMPLES
        emu-bench --emu .build/release/emu
        emu-bench --only kernels --runs 5
        emu-bench --only bare --engines jit
      """)

  @Option(help: "The emu to measure.")
  var emu = ".build/release/emu"

  @Option(help: "The peer: QEMU's user mode.")
  var qemu = "qemu-riscv64"

  @Option(name: .customLong("qemu-x86"), help: "The peer of x86-64 programs.")
  var qemuX86 = "qemu-x86_64"

  @Option(help: "The peer of bare images: QEMU's system mode.")
  var qemuSystem = "qemu-system-riscv64"

  @Option(help: "A static busybox for the guest, for the script.")
  var busybox = "out/busybox/busybox"

  @Option(
    name: .customLong("engines"), help: "Which engines are compared with peers, with commas.",
    transform: { $0.split(separator: ",").map(String.init) })
  var engines = ["jit", "interpreter"]

  @Option(help: "The folder with the guest images.")
  var images = "images"

  @Option(help: "Runs of each, of which the median counts.")
  var runs = 5

  @Option(help: "Only one part: \(parts.joined(separator: ", ")).")
  var only: String?

  @Option(help: "Only hits of this kind, as the table of 'probes' calls it: for a profile.")
  var probe: String?

  static let parts = [
    "kernels", "x86", "float", "bare", "cold", "script", "start", "fork", "memory", "probes",
    "record",
    "snapshot",
  ]

  static let kernels = [
    "sieve", "sort", "crc", "list", "vm", "calls", "nbody", "stream", "hash", "hot", "matmul",
  ]

  func validate() throws {
    guard runs >= 1 else { throw ValidationError("--runs is at least 1") }
    if let only, !Self.parts.contains(only) {
      throw ValidationError("--only is one of \(Self.parts.joined(separator: ", "))")
    }
    guard !engines.isEmpty, engines.allSatisfy({ BackEnd(rawValue: $0) != nil }) else {
      throw ValidationError(
        "--engines are of \(BackEnd.allCases.map(\.rawValue).joined(separator: ", "))")
    }
  }

  func run() throws {
    // It has no peer.
    if wants("snapshot") { try measureSnapshots() }
    if only == "snapshot" { return }
    guard let version = runChild([qemu, "--version"]), version.status == 0 else {
      printLine("emu-bench: no \(qemu); install Debian's qemu-user")
      throw ExitCode(3)
    }
    printLine("peer: " + (version.output.split(separator: "\n").first.map(String.init) ?? qemu))
    printLine(
      "median of \(runs); CPU time is user + system of the process; ratio > 1: emu is faster\n")
    if wants("kernels") { try measureKernels() }
    if wants("x86") { try measureX86() }
    if wants("float") { try measureFloats() }
    if wants("bare") { try measureBare() }
    if wants("cold") { try measureCold() }
    if wants("script") { try measureScript() }
    if wants("start") { try measureStart() }
    if wants("fork") { try measureFork() }
    if wants("memory") { try measureMemory() }
    if wants("probes") {
      for guest in ProgramArchitecture.allCases {
        for engine in engines.compactMap(BackEnd.init) { try measureProbes(guest, engine) }
      }
    }
    if wants("record") { try measureRecord() }
  }

  private func measureSnapshots() throws {
    let pipes = try? Host.contents(of: busybox)
    let program = try pipes ?? Host.contents(of: "\(images)/user/riscv64/forks.elf")
    try Snapshots(program: program, isBusybox: pipes != nil, rounds: max(runs, 5)).run()
  }

  private func wants(_ part: String) -> Bool { only == nil || only == part }

  func good(_ command: [String]) throws -> ChildRun {
    guard let run = runChild(command), run.status == 0 else {
      printLine("emu-bench: failed: \(command.joined(separator: " "))")
      throw ExitCode(1)
    }
    return run
  }

  /// The guests by the names of their images' folders, with their peers in user mode.
  var guests: [(architecture: String, peer: String)] { [("riscv64", qemu), ("x86_64", qemuX86)] }

  private func measureStart() throws {
    printLine("start to exit of hello: wall milliseconds (goal: 15)")
    printLine(row("", "emu", "spread", "qemu", "spread", "ratio"))
    for (architecture, peer) in guests {
      let image = "\(images)/user/\(architecture)/hello.elf"
      let both = try samples([[emu, "run", image], [peer, image], [emu, "--version"]])
      let (mine, theirs) = (both[0], both[1])
      printLine(
        row(
          architecture, text(mine.wall.median * 1000, 1), mine.wall.spread,
          text(theirs.wall.median * 1000, 1), theirs.wall.spread,
          text(theirs.wall.median / mine.wall.median, 2)))
      printLine(
        "  of emu's: starting the process (emu --version) \(text(both[2].wall.median * 1000, 1)) ms"
      )
      for line in try good([emu, "run", "--stats", image]).errors.split(separator: "\n")
      where line.contains("time") || line.contains("first instruction") { printLine("  \(line)") }
    }
    printLine("")
  }

  private func measureFork() throws {
    let image = "\(images)/user/riscv64/forkbench.elf"
    let loops = 2000.0
    var mine = Samples()
    var theirs = Samples()
    for _ in 0..<runs {
      mine.add(try good([emu, "run", image, "\(Int(loops))"]))
      // QEMU's user mode executes the guest's execve on the host, which needs binfmt_misc.
      if let peer = runChild([qemu, image, "\(Int(loops))"]), peer.status == 0 {
        theirs.add(peer)
      }
    }
    let rate = loops / mine.wall.median
    let peer = theirs.wall.values.isEmpty ? nil : loops / theirs.wall.median
    printLine("fork + exec + wait (\(image)): a second, wall (goal: 2000)")
    printLine(row("", "emu", "spread", "qemu", "spread", "ratio"))
    printLine(
      row(
        "loops/s", text(rate, 0), mine.wall.spread, peer.map { text($0, 0) } ?? "no binfmt",
        theirs.wall.spread, peer.map { text(rate / $0, 2) } ?? "-") + "\n")
  }

  private func measureMemory() throws {
    printLine("memory: peak of the process less the guest's pages, MiB (goal: 64)")
    printLine(row("program", "peak", "guest", "over", "", ""))
    for name in ["hello", "mallocs", "threads"] {
      let run = try good([emu, "run", "--stats", "\(images)/user/riscv64/\(name).elf"])
      let pages = run.errors.split(separator: "\n").first { $0.contains("guest pages at most") }
      let count =
        pages.flatMap {
          Double($0.filter(\.isNumber))
        } ?? 0
      let guest = count * 4096 / 1_048_576
      printLine(
        row(name, text(run.peakMiB, 1), text(guest, 1), text(run.peakMiB - guest, 1), "", ""))
    }
    printLine("")
  }
}

/// Several measurements of one thing.
struct Series {
  var values: [Double] = []

  var median: Double {
    let sorted = values.sorted()
    return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
  }

  /// From least to most, in percent of the median.
  var spread: String {
    guard let low = values.min(), let high = values.max(), median > 0 else { return "" }
    return "±\(Int(((high - low) / 2 / median * 100).rounded()))%"
  }
}

struct Samples {
  var cpu = Series()
  var wall = Series()

  mutating func add(_ run: ChildRun) {
    cpu.values.append(run.cpu)
    wall.values.append(run.wall)
  }
}

func printLine(_ line: String) {
  print(line)
  fflush(nil)
}

/// A line of a table: the first column, and those behind it, in columns of these widths.
func row(widths: (Int, Int) = (10, 9), _ cells: String...) -> String {
  cells.enumerated().map { index, cell in
    let width = index == 0 ? widths.0 : widths.1
    let space = String(repeating: " ", count: max(width - cell.count, 0))
    return index == 0 ? cell + space : space + cell
  }.joined(separator: " ")
}

func text(_ value: Double, _ places: Int) -> String {
  var buffer = [CChar](repeating: 0, count: 64)
  _ = withVaList([value]) { vsnprintf(&buffer, buffer.count, "%.\(places)f", $0) }
  return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
