// swift-tools-version: 6.2
import PackageDescription

/// Every target is checked alike: Swift 6 mode, warnings are errors.
let strict: [SwiftSetting] = [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]

let package = Package(
  name: "emu",
  products: [
    .executable(name: "emu", targets: ["EmuCLI"]),
    // What another package's tests depend on to build machines.
    .library(name: "Emu", targets: ["Machine", "GuestKernel", "RISCV", "Engine"]),
  ],
  dependencies: [
    // The command line: parsing, help pages, completion scripts.
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    .target(name: "Engine", path: "Sources/Emu/Engine", swiftSettings: strict),
    .target(
      name: "RISCV", dependencies: ["Engine"], path: "Sources/ISA/RISCV", swiftSettings: strict),
    // ELF files are read by elfutils' libelf.
    .systemLibrary(
      name: "CLibElf", path: "Sources/Emu/CLibElf", pkgConfig: "libelf",
      providers: [.apt(["libelf-dev"])]),
    .target(
      name: "Image", dependencies: ["CLibElf"], path: "Sources/Emu/Image", swiftSettings: strict),
    .target(
      name: "GuestKernel", dependencies: ["Engine", "Image"], path: "Sources/GuestKernel",
      swiftSettings: strict),
    .target(
      name: "Machine", dependencies: ["Engine", "Image", "RISCV", "GuestKernel"],
      path: "Sources/Emu/Machine", swiftSettings: strict),
    .executableTarget(
      name: "EmuCLI",
      dependencies: [
        "Machine", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Sources/Emu/CLI", swiftSettings: strict),
    .testTarget(
      name: "EngineTests", dependencies: ["Engine"], path: "Tests/EngineTests",
      swiftSettings: strict),
    .testTarget(
      name: "RISCVTests", dependencies: ["RISCV"], path: "Tests/RISCVTests",
      swiftSettings: strict),
    .testTarget(
      name: "GuestKernelTests", dependencies: ["GuestKernel"], path: "Tests/GuestKernelTests",
      swiftSettings: strict),
    .testTarget(
      name: "ImageTests", dependencies: ["Image"], path: "Tests/ImageTests", swiftSettings: strict),
    .testTarget(
      name: "MachineTests", dependencies: ["Machine"], path: "Tests/MachineTests",
      swiftSettings: strict),
  ]
)
