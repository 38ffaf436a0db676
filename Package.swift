// swift-tools-version: 6.2
import PackageDescription

/// Every target is checked alike: Swift 6 mode, warnings are errors.
let strict: [SwiftSetting] = [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]

let package = Package(
  name: "emu",
  products: [
    .executable(name: "emu", targets: ["EmuCLI"]),
    // Judges the hart and the machine by QEMU.
    .executable(name: "emu-conformance", targets: ["Conformance"]),
    // Measures emu beside its peers.
    .executable(name: "emu-bench", targets: ["Bench"]),
    // What another package's tests depend on to build machines.
    // What another package's tests depend on to run scenarios.
    .library(name: "EmuHarness", targets: ["Harness", "HarnessTesting"]),
    .library(name: "Emu", targets: ["Machine", "Probes", "GuestKernel", "RISCV", "X86", "Engine"]),
  ],
  dependencies: [
    // The command line: parsing, help pages, completion scripts.
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    .target(name: "Engine", path: "Sources/Emu/Engine", swiftSettings: strict),
    // Assembly text to bytes, but for the instructions, which the instruction sets know.
    .target(name: "Assembly", path: "Sources/Emu/Assembly", swiftSettings: strict),
    .target(
      name: "RISCV", dependencies: ["Engine", "Assembly"], path: "Sources/ISA/RISCV",
      swiftSettings: strict),
    .target(
      name: "X86", dependencies: ["Engine", "Assembly"], path: "Sources/ISA/X86",
      swiftSettings: strict),
    // ELF files are read by elfutils' libelf.
    .systemLibrary(
      name: "CLibElf", path: "Sources/Emu/CLibElf", pkgConfig: "libelf",
      providers: [.apt(["libelf-dev"])]),
    .target(
      name: "Image", dependencies: ["CLibElf"], path: "Sources/Emu/Image", swiftSettings: strict),
    // Traces are compressed by zstd: the system's libzstd, since its own Swift package builds all of
    // its C sources anew.
    .systemLibrary(
      name: "CZstd", path: "Sources/Emu/CZstd", pkgConfig: "libzstd",
      providers: [.apt(["libzstd-dev"])]),
    .target(
      name: "TraceFile", dependencies: ["CZstd"], path: "Sources/Emu/TraceFile",
      swiftSettings: strict),
    .target(
      name: "GuestKernel", dependencies: ["Engine", "Image"], path: "Sources/GuestKernel",
      swiftSettings: strict),
    .target(
      name: "Probes", dependencies: ["GuestKernel", "Engine"], path: "Sources/Probes",
      swiftSettings: strict),
    // The guest kernels (images/kernel), linked into the program.
    .target(
      name: "CKernelImages", path: "images/kernel/embed",
      cSettings: [.headerSearchPath(".."), .headerSearchPath("../../user")]),
    // ptrace and fork, which Swift can't call: register traces of native programs.
    .target(name: "CPtrace", path: "Sources/Emu/CPtrace"),
    .target(
      name: "Machine",
      dependencies: [
        "Engine", "Image", "RISCV", "X86", "GuestKernel", "Probes", "TraceFile", "CKernelImages",
        "CPtrace",
      ],
      path: "Sources/Emu/Machine", swiftSettings: strict),
    // Scenario files are read by libyaml itself: Yams would bring Foundation into every start of emu.
    .systemLibrary(
      name: "CLibYAML", path: "Sources/Emu/CLibYAML", pkgConfig: "yaml-0.1",
      providers: [.apt(["libyaml-dev"])]),
    // Scenarios: machines, probes, input and what must come of them, in Swift or in files.
    .target(
      name: "Harness",
      dependencies: [
        "Assembly", "Engine", "GuestKernel", "Image", "Machine", "Probes", "RISCV", "X86",
        "CLibYAML",
      ],
      path: "Sources/Emu/Harness", swiftSettings: strict),
    // Scenarios in tests of Swift Testing: seeds as arguments, failures as issues.
    .target(
      name: "HarnessTesting", dependencies: ["Harness", "Machine"],
      path: "Sources/Emu/HarnessTesting", swiftSettings: strict),
    .executableTarget(
      name: "EmuCLI",
      dependencies: [
        "Harness", "Machine", "Probes",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Sources/Emu/CLI", swiftSettings: strict),
    .executableTarget(
      name: "Conformance",
      dependencies: [
        "Machine", "TraceFile", "GuestKernel", "Engine", "RISCV", "X86", "VectorFile", "Fuzz",
        "CHostX86", "CPtrace",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Sources/Emu/Conformance", swiftSettings: strict),
    // The text form of instruction vectors, for the tests and for the tool that has QEMU judge them.
    .target(name: "VectorFile", path: "Tests/VectorFile", swiftSettings: strict),
    // Random files, programs and boards, for the tests and for the tool that goes on for hours.
    .target(
      name: "Fuzz",
      dependencies: [
        "Assembly", "Harness", "Machine", "Probes", "GuestKernel", "RISCV", "X86", "Engine",
        "Image", "TraceFile",
      ],
      path: "Tests/Fuzz", swiftSettings: strict),
    // Probe hits as the host has them: ptrace and Linux's uprobes.
    .target(name: "NativeProbes", path: "Benchmarks/NativeProbes"),
    .executableTarget(
      name: "Bench",
      dependencies: [
        "Machine", "Probes", "GuestKernel", "RISCV", "X86", "Engine", "Image", "NativeProbes",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Benchmarks/Bench", swiftSettings: strict),
    // The host's floating point with its rounding mode and flags: the oracle of soft-float.
    .target(name: "CHostFloat", path: "Tests/CHostFloat"),
    // This host's own processor, instruction by instruction: the oracle of the x86-64 guest.
    .target(name: "CHostX86", path: "Tests/CHostX86"),
    .testTarget(
      name: "EngineTests", dependencies: ["Engine", "CHostFloat"], path: "Tests/EngineTests",
      swiftSettings: strict),
    .testTarget(
      name: "RISCVTests", dependencies: ["Assembly", "RISCV", "VectorFile"],
      path: "Tests/RISCVTests",
      exclude: ["Vectors"], swiftSettings: strict),
    .testTarget(
      name: "JITTests", dependencies: ["RISCV", "Engine", "Fuzz"], path: "Tests/JITTests",
      swiftSettings: strict),
    .testTarget(
      name: "X86Tests", dependencies: ["Assembly", "X86", "CHostX86"], path: "Tests/X86Tests",
      exclude: ["Vectors"], swiftSettings: strict),
    .testTarget(
      name: "GuestKernelTests", dependencies: ["GuestKernel"], path: "Tests/GuestKernelTests",
      swiftSettings: strict),
    .testTarget(
      name: "TraceFileTests", dependencies: ["TraceFile"], path: "Tests/TraceFileTests",
      swiftSettings: strict),
    .testTarget(
      name: "ImageTests", dependencies: ["Image"], path: "Tests/ImageTests", swiftSettings: strict),
    .testTarget(
      name: "ProbesTests", dependencies: ["Machine", "Probes", "RISCV", "X86", "Image"],
      path: "Tests/ProbesTests", exclude: ["Programs"], swiftSettings: strict),
    .testTarget(
      name: "HarnessTests",
      dependencies: [
        "Assembly", "Harness", "HarnessTesting", "Image", "Machine", "Probes", "RISCV",
      ],
      path: "Tests/HarnessTests", swiftSettings: strict),
    .testTarget(
      name: "MachineTests",
      dependencies: ["Fuzz", "Machine", "GuestKernel", "RISCV", "Engine", "TraceFile"],
      path: "Tests/MachineTests",
      swiftSettings: strict),
  ]
)
