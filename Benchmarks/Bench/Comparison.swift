import ArgumentParser
import Glibc
import Machine

/// The same work for emu and for a peer; each is measured less a run that does next to nothing.
struct Work {
  let name: String
  /// What follows `emu run --engine X`: the work, and next to nothing.
  let emu: [String]
  let emuBase: [String]
  let peer: [String]
  let peerBase: [String]
}

extension Bench {
  /// Runs commands alternately, so that what disturbs one disturbs the others.
  func samples(_ commands: [[String]]) throws -> [Samples] {
    var result = commands.map { _ in Samples() }
    for _ in 0..<runs {
      for (index, command) in commands.enumerated() { result[index].add(try good(command)) }
    }
    return result
  }

  func emuCommand(_ engine: String, _ rest: [String]) -> [String] {
    [emu, "run", "--engine", engine] + rest
  }

  /// Prints CPU seconds of each work under each engine beside the peer's, and what the geometric mean
  /// of the ratios is.
  func compare(_ title: String, _ works: [Work]) throws {
    printLine(title + ": CPU seconds, less a run of next to nothing")
    printLine(
      row(widths: (12, 11), "work", "engine", "emu s", "spread", "peer s", "spread", "ratio"))
    var logs = [Double](repeating: 0, count: engines.count)
    for work in works {
      let full = try samples([work.peer] + engines.map { emuCommand($0, work.emu) })
      let base = try samples([work.peerBase] + engines.map { emuCommand($0, work.emuBase) })
      let took = zip(full, base).map { max($0.cpu.median - $1.cpu.median, 1e-4) }
      for (index, engine) in engines.enumerated() {
        logs[index] += log(took[0] / took[index + 1])
        printLine(
          row(
            widths: (12, 11), index == 0 ? work.name : "", engine, text(took[index + 1], 3),
            full[index + 1].cpu.spread, text(took[0], 3), full[0].cpu.spread,
            text(took[0] / took[index + 1], 2)))
      }
    }
    for (index, engine) in engines.enumerated() {
      let mean = exp(logs[index] / Double(max(works.count, 1)))
      printLine(row(widths: (12, 11), "geomean", engine, "", "", "", "", text(mean, 2)))
    }
    printLine("")
  }

  func measureKernels() throws {
    try kernels("\(images)/user/riscv64/kbench.elf", qemu, goal: "1.5, none below 0.9")
  }

  func measureX86() throws {
    guard let version = runChild([qemuX86, "--version"]), version.status == 0,
      let line = version.output.split(separator: "\n").first
    else {
      printLine("no \(qemuX86): the x86-64 kernels are left out\n")
      return
    }
    printLine("peer: \(line)")
    try kernels(
      "\(images)/user/x86_64/kbench.elf", qemuX86, goal: "1.3, none below 0.9, nbody 3")
  }

  private func kernels(_ image: String, _ peer: String, goal: String) throws {
    try compare(
      "CPU-bound kernels (\(image)) against \(peer); goal: \(goal)",
      Self.kernels.map { work($0, [image, $0, Self.longer], [image, $0, "1"], peer) })
  }

  /// How much longer than by default the kernels run: five times, in percent.
  private static let percent = 500
  private static let longer = "x\(percent)"

  private func work(_ name: String, _ full: [String], _ base: [String], _ peer: String) -> Work {
    Work(name: name, emu: full, emuBase: base, peer: [peer] + full, peerBase: [peer] + base)
  }

  func measureFloats() throws {
    for (architecture, peer) in guests {
      guard runChild([peer, "--version"])?.status == 0 else {
        printLine("no \(peer): floating point of \(architecture) is left out\n")
        continue
      }
      let image = "\(images)/user/\(architecture)/fbench.elf"
      let bodies = "\(images)/user/\(architecture)/kbench.elf"
      try compare(
        "floating point (\(architecture)) against \(peer); goal: 3",
        [work("nbody", [bodies, "nbody", Self.longer], [bodies, "nbody", "1"], peer)]
          + ["matrix", "fft"].map { work($0, [image, $0], [image, $0, "1"], peer) })
    }
  }

  /// The kernels without an operating system, against QEMU's system mode as it is and counting
  /// instructions, as emu always does.
  func measureBare() throws {
    guard let version = runChild([qemuSystem, "--version"]), version.status == 0,
      let line = version.output.split(separator: "\n").first
    else {
      printLine("no \(qemuSystem): the bare kernels are left out\n")
      return
    }
    printLine("peer: \(line)")
    let image = "\(images)/bare/riscv64/kbench.elf"
    let folder = try ScratchFolder()
    var files: [(full: String, base: String)] = []
    for kernel in Self.kernels.indices {
      let full = try folder.add(
        "\(kernel)", try Self.configured(image, kernel, percent: Self.percent))
      let base = try folder.add("\(kernel)-1", try Self.configured(image, kernel, percent: 0))
      files.append((full, base))
    }
    let machine = [
      qemuSystem, "-M", "virt", "-m", "512M", "-display", "none", "-serial", "stdio", "-monitor",
      "none", "-bios", "none",
    ]
    for (name, extra) in [
      ("goal: 1.9", []),
      ("-icount shift=0,sleep=off; goal: 2.5", ["-icount", "shift=0,sleep=off"]),
    ] as [(String, [String])] {
      try compare(
        "the kernels bare (\(image)) against \(qemuSystem), \(name)",
        zip(Self.kernels, files).map { kernel, file in
          Work(
            name: kernel, emu: ["--bare", file.full], emuBase: ["--bare", file.base],
            peer: machine + extra + ["-kernel", file.full],
            peerBase: machine + extra + ["-kernel", file.base])
        })
    }
  }

  /// The image with the two numbers behind its marker rewritten.
  private static func configured(_ image: String, _ kernel: Int, percent: Int) throws -> [UInt8] {
    var bytes = try Host.contents(of: image)
    let marker = Array("KBENCHCF".utf8)
    guard
      let at = bytes.indices.first(where: {
        bytes[$0] == marker[0] && bytes[$0...].starts(with: marker)
      }), at + 16 <= bytes.count
    else { throw BenchFailure("\(image) has no marker") }
    bytes[at + 8] = UInt8(kernel)
    for index in 9..<12 { bytes[at + index] = 0 }
    for index in 0..<4 { bytes[at + 12 + index] = UInt8(percent >> (8 * index) & 255) }
    return bytes
  }

  /// Code of which every block runs once.
  func measureCold() throws {
    let folder = try ScratchFolder()
    let cold = try folder.add("cold", ColdCode.program(blocks: 25_000))
    let none = try folder.add("none", ColdCode.program(blocks: 1))
    try compare(
      "25,000 blocks that run once against \(qemu)",
      [
        Work(
          name: "cold", emu: [cold], emuBase: [none], peer: [qemu, cold], peerBase: [qemu, none])
      ])
  }

  /// A shell script that forks all the time.
  func measureScript() throws {
    guard access(busybox, R_OK) == 0 else {
      printLine("no \(busybox) (scripts/fetch-busybox.sh): the script is left out\n")
      return
    }
    func script(_ turns: Int) -> [String] {
      [
        busybox, "sh", "-c",
        "i=0; while [ $i -lt \(turns) ]; do x=$(echo $i | { read y; echo $y; }); i=$((i+1)); done",
      ]
    }
    let work = Work(
      name: "script", emu: script(800), emuBase: script(0), peer: [qemu] + script(800),
      peerBase: [qemu] + script(0))
    try compare("busybox sh, 1,600 forks, against \(qemu); goal: 0.7", [work])
  }
}
